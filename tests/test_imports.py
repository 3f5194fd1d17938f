"""The tree is the diagram: imports run one way, and a few habits that break that quietly are not there."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIB = sorted(path for path in (ROOT / "lib").rglob("*.py") if path.name != "local.py")
TRACKING = sorted((ROOT / "tracking").rglob("*.py"))

ALLOWED = {
    "core": set(),
    "layers": {"core"},
    "datasets": {"core"},
    "models": {"core", "layers"},
    "train": {"core", "layers", "datasets", "models"},
    "test": {"core", "datasets", "models"},
}

_ADDRESS = re.compile(r"^lib\.(\w+)\.[\w.]+:\w+$")  # an entry of a lazy table


def name_of(path):
    return str(path.relative_to(ROOT))


every_file = pytest.mark.parametrize("path", [*LIB, *TRACKING], ids=name_of)


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_modules(tree):
    """Every module that a file imports, wherever in it, and those that it names for later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module
            if node.module == "lib":
                yield from (f"lib.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _ADDRESS.match(node.value):
            yield node.value.partition(":")[0]


def parts_of_lib(tree):
    return {module.split(".")[1] for module in imported_modules(tree) if module.startswith("lib.")}


def test_every_package_has_its_place():
    assert {path.relative_to(ROOT / "lib").parts[0] for path in LIB} - {"__init__.py"} == set(ALLOWED)


@pytest.mark.parametrize("path", [path for path in LIB if path.parent != ROOT / "lib"], ids=name_of)
def test_imports_run_one_way(path):
    package = path.relative_to(ROOT / "lib").parts[0]
    sideways = parts_of_lib(parse(path)) - ALLOWED[package] - {package}
    assert not sideways, f"lib/{package} may not import {', '.join(sorted(sideways))}"


@pytest.mark.parametrize("path", TRACKING, ids=name_of)
def test_entry_points_use_training_or_testing(path):
    assert not {"train", "test"} <= parts_of_lib(parse(path))


def test_benchmarks_are_imported_one_at_a_time_and_by_name():
    """One process measures with training or with testing: no entry point imports another one, at most its name."""
    for path in TRACKING:
        assert not any(module.split(".")[0] == "tracking" for module in imported_modules(parse(path))), name_of(path)
    commands = runpy.run_path(str(ROOT / "tracking" / "benchmark.py"))["COMMANDS"]
    assert {path.stem for path in (ROOT / "tracking" / "benchmarks").glob("*.py")} == set(commands)


@pytest.mark.parametrize("path", LIB, ids=name_of)
def test_the_library_imports_no_entry_point_and_no_test(path):
    roots = {module.split(".")[0] for module in imported_modules(parse(path))}
    assert not roots & {"tracking", "tests", "experiments"}


@every_file
def test_habits(path):
    """No device in the code, no default beside the configuration's, no failure swallowed, no path but in one line."""
    tree = parse(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), f"line {node.lineno}: star import"
        if not isinstance(node, ast.Call):
            continue
        call, first = ast.unparse(node.func), ast.unparse(node.args[0]) if node.args else ""
        assert not call.endswith(".cuda"), f"line {node.lineno}: .cuda()"
        assert not (call in ("getattr", "hasattr") and first.split(".")[0] == "cfg"), f"line {node.lineno}: {call}(cfg"
        assert not call.startswith("cfg.") or not call.endswith(".get"), f"line {node.lineno}: {call}"
        if path in LIB:
            assert not call.startswith("sys.path."), f"line {node.lineno}: {call}"
            assert call != "print" or path.name == "errors.py", f"line {node.lineno}: print; use the module's log"
    paths = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "sys.path" in ast.unparse(node.func)]
    assert len(paths) <= 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from lib.train import run", {"train"}),
        ("from lib import train", {"train"}),
        ("def f():\n    import lib.test.engine", {"test"}),
        ("TABLE = {'a': 'lib.models.ostrack:OSTrack'}", {"models"}),
        ("import numpy\n'lib.models of the paper'", set()),
    ],
)
def test_imports_are_seen_wherever_they_are(code, expected):
    assert parts_of_lib(ast.parse(code)) == expected

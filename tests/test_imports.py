"""The tree is the diagram: imports run one way, and a few habits that break that quietly are not there."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lib.cli import benchmark

ROOT = Path(__file__).parents[1]
LIB = sorted(path for path in (ROOT / "lib").rglob("*.py") if path.name != "local.py")
TEST = [path for path in LIB if path.is_relative_to(ROOT / "lib" / "test")]
CLI = [path for path in LIB if path.is_relative_to(ROOT / "lib" / "cli")]
TRACKING = sorted((ROOT / "tracking").rglob("*.py"))

ALLOWED = {
    "core": set(),
    "layers": {"core"},
    "datasets": {"core"},
    "models": {"core", "layers"},
    "train": {"core", "layers", "datasets", "models"},
    "test": {"core", "datasets", "models"},
    "cli": {"core", "layers", "datasets", "models", "train", "test"},  # a command: train or test
}
#: Files of the top floor beside the commands.
OFFERED = {"__init__.py", "api.py"}

#: The rooms of lib/test: what each may import of the others.
ROOMS = {
    "metrics": set(),
    "video": set(),
    "tracker": set(),
    "export": set(),
    "results": set(),
    "evaluation": {"tracker", "results", "export"},
    "analysis": {"metrics", "results"},
    "report": {"analysis", "metrics"},
    "labels": {"tracker", "metrics", "video"},
    "tuning": {"tracker", "evaluation", "results", "metrics", "analysis", "report"},
    "demo": {"tracker", "evaluation", "results", "metrics", "analysis", "video"},
    "benchmarks": {"tracker", "evaluation", "results", "metrics", "analysis", "report"},
}

#: Families of trackers and kinds of layers, in folders: which others each one builds on.
FAMILIES = {
    "models": {
        "one_stream": set(),
        "siamese": set(),
        "fear": {"siamese"},
        "discriminative": set(),
        "online": set(),
        "alpha_refine": set(),
    },
    "layers": {
        "transformer": set(),
        "trunks": set(),
        "refine": set(),
        "siamese": {"transformer", "trunks", "refine"},
        "filters": {"trunks"},
    },
}

_ADDRESS = re.compile(r"^\.[\w.]+:\w+$")  # an entry of a lazy table, within its package


def name_of(path):
    return str(path.relative_to(ROOT))


every_file = pytest.mark.parametrize("path", [*LIB, *TRACKING], ids=name_of)


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def package_of(path):
    """The package that a file's relative imports start from."""
    return ".".join(path.relative_to(ROOT).parent.parts)


def imported_modules(tree, package=""):
    """Every module that a file imports, wherever in it, and those that it names for later; what is imported from a
    package may be a module of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            module = importlib.util.resolve_name(name, package) if node.level else name
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _ADDRESS.match(node.value):
            yield importlib.util.resolve_name(node.value.partition(":")[0], package)


def parts_of(tree, package="", inside="lib"):
    """The parts of a package that a file imports from."""
    found = {
        module.removeprefix(f"{inside}.").split(".")[0]
        for module in imported_modules(tree, package)
        if module.startswith(f"{inside}.")
    }
    return {part for part in found if (ROOT / inside.replace(".", "/") / part).is_dir()}


def test_every_package_has_its_place():
    assert {path.relative_to(ROOT / "lib").parts[0] for path in LIB} - OFFERED == set(ALLOWED)


@pytest.mark.parametrize("path", [path for path in LIB if path.parent != ROOT / "lib"], ids=name_of)
def test_imports_run_one_way(path):
    package = path.relative_to(ROOT / "lib").parts[0]
    sideways = parts_of(parse(path), package_of(path)) - ALLOWED[package] - {package}
    assert not sideways, f"lib/{package} may not import {', '.join(sorted(sideways))}"


@pytest.mark.parametrize("path", LIB, ids=name_of)
def test_the_library_imports_itself_relatively(path):
    """It has another name in a wheel."""
    for node in ast.walk(parse(path)):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not any(name.split(".")[0] == "lib" for name in names), f"line {node.lineno}: import of lib by its name"


def test_lib_test_consists_of_rooms():
    assert [path.name for path in (ROOT / "lib" / "test").glob("*.py")] == ["__init__.py"]
    assert {path.relative_to(ROOT / "lib" / "test").parts[0] for path in TEST} - {"__init__.py"} == set(ROOMS)


@pytest.mark.parametrize("path", [path for path in TEST if path.parent.name != "test"], ids=name_of)
def test_rooms_import_one_way(path):
    room = path.relative_to(ROOT / "lib" / "test").parts[0]
    sideways = parts_of(parse(path), package_of(path), "lib.test") - ROOMS[room] - {room}
    assert not sideways, f"lib/test/{room} may not import {', '.join(sorted(sideways))}"


@pytest.mark.parametrize("package", FAMILIES)
def test_families_build_on_others_one_way(package):
    room = ROOT / "lib" / package
    assert {path.name for path in room.iterdir() if (path / "__init__.py").is_file()} == set(FAMILIES[package])
    for path in (path for path in room.rglob("*.py") if path.parent != room):
        family = path.relative_to(room).parts[0]
        sideways = parts_of(parse(path), package_of(path), f"lib.{package}") - FAMILIES[package][family] - {family}
        assert not sideways, f"{name_of(path)} may not import {', '.join(sorted(sideways))}"


@pytest.mark.parametrize("path", CLI, ids=name_of)
def test_commands_use_training_or_testing(path):
    assert not {"train", "test"} <= parts_of(parse(path), package_of(path))


def test_what_programs_use_needs_no_training():
    for name in OFFERED:
        assert not {"train", "cli"} & parts_of(parse(ROOT / "lib" / name), "lib"), name


@pytest.mark.parametrize("path", [*TRACKING, ROOT / "lib/cli/main.py"], ids=name_of)
def test_entry_points_only_start_a_command(path):
    assert parts_of(parse(path), package_of(path)) <= {"cli", "core"}


def test_benchmarks_are_imported_one_at_a_time_and_by_name():
    """One process measures with training or with testing."""
    benchmarks = {path.stem for path in (ROOT / "lib/cli/benchmarks").glob("*.py")} - {"__init__"}
    assert benchmarks == set(benchmark.COMMANDS)
    for path in CLI:
        modules = imported_modules(parse(path), package_of(path))
        assert not any(module.startswith("lib.cli.benchmarks") for module in modules), name_of(path)


@pytest.mark.parametrize("path", LIB, ids=name_of)
def test_the_library_imports_no_entry_point_and_no_test(path):
    roots = {module.split(".")[0] for module in imported_modules(parse(path), package_of(path))}
    assert not roots & {"tracking", "tests", "experiments"}


def test_trackers_without_a_vit_do_not_wait_for_timm():
    code = "import sys, lib.cli.track, lib.models.siamese.siamrpn; print({'timm', 'torchvision'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stdout + done.stderr


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
            prints = path.name == "errors.py" or path in CLI
            assert call != "print" or prints, f"line {node.lineno}: print; use the module's log"
    paths = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "sys.path" in ast.unparse(node.func)]
    assert len(paths) <= 1


@pytest.mark.parametrize(
    ("code", "package", "expected"),
    [
        ("from lib.train import run", "", {"train"}),
        ("from lib import train", "", {"train"}),
        ("from ..train import run", "lib.test", {"train"}),
        ("from .. import train", "lib.test", {"train"}),
        ("def f():\n    import lib.test.tracker", "", {"test"}),
        ("TABLE = {'a': '.ostrack:OSTrack'}", "lib.models", {"models"}),
        ("import numpy\n'.models of the paper'", "lib.models", set()),
    ],
)
def test_imports_are_seen_wherever_they_are(code, package, expected):
    assert parts_of(ast.parse(code), package) == expected

"""One name for all commands: they are listed, suggested, documented once, and the scripts are the same commands."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lib.cli import main as rgbt
from lib.cli.commands import SCRIPTS, as_scripts, load_command, module_name, own_command, usage
from lib.core.errors import InputError

ROOT = Path(__file__).parents[2]
TRACKING = ROOT / "tracking"


def words_of(text):
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def test_every_script_and_every_file_is_a_command():
    assert {script for script in SCRIPTS.values() if script} == {path.stem for path in TRACKING.glob("*.py")}
    files = {path.stem for path in (ROOT / "lib" / "cli").glob("*.py")}
    shared = {"__init__", "main", "commands", "opened", "options", "parser", "refine_options", "test_options"}
    parts = {"gpu_plan", "gpu_page"}  # of `benchmark gpu`
    assert {module_name(name) for name in SCRIPTS} == files - shared - parts


@pytest.mark.parametrize("name", [name for name in SCRIPTS if SCRIPTS[name]])
def test_scripts_keep_their_usage_lines(name):
    """The script's docstring is derived from the command's: what it does and its examples."""
    source = (TRACKING / f"{SCRIPTS[name]}.py").read_text(encoding="utf-8")
    assert words_of(ast.get_docstring(ast.parse(source))) == words_of(as_scripts(usage(load_command(name).__doc__)))
    assert f"python tracking/{SCRIPTS[name]}.py" in source


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_shows_examples_as_they_are_typed(name, capsys, monkeypatch):
    command = load_command(name)
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0 and f"rgbt {name}" in shown and "python tracking/" not in shown
    if SCRIPTS[name]:
        monkeypatch.setattr("sys.argv", [f"{SCRIPTS[name]}.py", "--help"])
        with pytest.raises(SystemExit):
            command.main()
        shown = capsys.readouterr().out
        assert f"python tracking/{SCRIPTS[name]}.py" in shown and not re.search(r"\brgbt \w", shown)


def call(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["rgbt", *words])
    rgbt.dispatch()


def test_overview_has_a_line_for_each(monkeypatch, capsys):
    call(monkeypatch, "--help")
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if line.startswith("  ")]
    assert len(lines) == len(SCRIPTS) and max(map(len, lines)) <= 120
    assert all(line[20:].strip() for line in lines)
    call(monkeypatch)
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("trak", "did you mean: rgbt track?"),
        ("analysis_results", "did you mean: rgbt score?"),
        ("compare", "did you mean: rgbt compare figures or rgbt compare trackers?"),
        ("zzz", "rgbt --help lists them"),
    ],
)
def test_wrong_names_are_one_line_with_the_nearest(monkeypatch, typed, hint):
    with pytest.raises(InputError) as error:
        call(monkeypatch, typed)
    assert str(error.value) == f"rgbt {typed}: no such command; {hint}"


def test_the_overview_loads_no_network():
    code = "import sys; sys.argv = ['rgbt', '--help']; from lib.cli.main import main; main()"
    code += "; print({'torch', 'cv2', 'numpy', 'matplotlib'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_scoring_loads_no_network():
    code = "import sys, lib.cli.score; print({'torch', 'matplotlib'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_other_processes_start_the_same_command(monkeypatch):
    assert own_command("train") == [str(TRACKING / "train.py")]
    monkeypatch.setattr("lib.cli.commands.IS_CHECKOUT", False)
    assert own_command("train") == ["-m", "lib.cli.train"]

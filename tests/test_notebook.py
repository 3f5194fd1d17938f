"""The notebook's code cells run one after the other."""

import importlib
import json
import sys
import types
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "demo.ipynb"


def code_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture
def shown(monkeypatch):
    """What IPython was asked to show."""
    found = []
    stand_in = types.ModuleType("IPython.display")
    stand_in.Image = stand_in.Video = lambda path, **options: Path(path)
    stand_in.display = found.append
    package = types.ModuleType("IPython")
    package.version_info, package.get_ipython = (9, 0), lambda: None  # what Matplotlib asks of it
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", stand_in)
    monkeypatch.setattr(plt, "show", lambda: None)
    return found


@pytest.mark.slow
def test_every_cell_runs(shown, monkeypatch, tmp_path):
    """In the repository the package `rgbt_toolbox` is called `lib`."""
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setitem(sys.modules, "rgbt_toolbox", importlib.import_module("lib"))
    names = {}
    for cell in code_cells():
        exec(compile(cell.replace('"output/notebook"', repr(str(tmp_path))), str(NOTEBOOK), "exec"), names)
    assert [path.name for path in shown] == ["contact_sheet.png", "tracking.webm"]
    assert all(path.stat().st_size > 10_000 for path in shown)
    assert len(names["overlaps"]) == 60 and names["overlaps"].mean() > 0.5
    plt.close("all")


def test_without_the_toolbox_it_asks_for_its_address(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="set REPOSITORY"):
        exec(compile(code_cells()[0], str(NOTEBOOK), "exec"), {})


def test_no_outputs_are_kept():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)

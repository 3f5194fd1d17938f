"""The worked examples of the documentation and the notebook do what they say: every block is run, in a copy."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.test.video.pairing import open_sequence

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LEFT_OUT = shutil.ignore_patterns(
    ".venv", ".git", "__pycache__", "output", "local.py", "images", "*.egg-info", ".*_cache"
)

#: What the page's tracker consists of; in the files of the second line one line is new.
GATE_TRACK = {
    "lib/models/one_stream/gate_track.py",
    "experiments/gate_track/defaults.yaml",
    "experiments/gate_track/small.yaml",
}
LINES = {"lib/models/__init__.py", "tests/micro.py"}

_FILE = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", re.M | re.S)
_LINE = re.compile(r"^A line in `(\w+)` of `([\w/.]+)`:\n\n```\w+\n(.*?)^```", re.M | re.S)
_SHELL = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)


@pytest.fixture
def copy(tmp_path):
    """A copy of the toolbox with fresh local files."""
    root = tmp_path / "toolbox"
    shutil.copytree(ROOT, root, ignore=LEFT_OUT)
    call(root, "python tracking/create_default_local_file.py --workspace_dir . --data_dir ../ --save_dir ./output")
    return root


def call(root, command):
    words = re.sub(r"^python ", f"{sys.executable} ", command, flags=re.M)
    done = subprocess.run(["bash", "-ec", words], cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


def follow(root, page, **changes):
    """Do what a page says, in its order; what its commands print."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, str(new))
    blocks = [*_FILE.finditer(text), *_LINE.finditer(text), *_SHELL.finditer(text)]
    assert len(blocks) >= 6
    printed = []
    for block in sorted(blocks, key=lambda match: match.start()):
        if block.re is _FILE:
            path = root / block[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block[2], encoding="utf-8")
        elif block.re is _LINE:
            insert(root / block[2], block[1], block[3])
        else:
            printed += [call(root, command) for command in block[1].splitlines()]
    return "\n".join(printed)


def insert(path, table, line):
    text = path.read_text(encoding="utf-8")
    opened = re.search(rf"^{table}\b.*?= \{{\n", text, re.M)
    assert opened, f"{path}: no {table}"
    path.write_text(text[: opened.end()] + line + text[opened.end() :], encoding="utf-8")


def checksums(root):
    """Every file of a copy but those that commands write: path -> checksum."""
    made = {"output", "__pycache__", ".pytest_cache", ".ruff_cache"}
    paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return {
        path.as_posix(): hashlib.sha256((root / path).read_bytes()).hexdigest()
        for path in paths
        if not made & set(path.parts)
    }


def added_lines(path, before):
    """The lines that a file has and had not before; all others are as they were."""
    now = path.read_text(encoding="utf-8").splitlines()
    old = before.read_text(encoding="utf-8").splitlines()
    added = [line for line in now if line not in old]
    assert [line for line in now if line in old] == old
    return added


@pytest.mark.slow
def test_add_a_tracker(copy):
    before = checksums(copy)
    printed = follow(copy, "add_a_tracker.md")
    after = checksums(copy)
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == GATE_TRACK | LINES
    for path in LINES:
        (line,) = added_lines(copy / path, ROOT / path)
        assert line.startswith('    "gate_track": ')
    assert re.search(r"\d+ passed", printed) and "8 frames" in printed and "gate_track/small" in printed
    assert "boxes: largest difference" in printed, "the export was compared"
    assert len(list((copy / "output" / "gate_torch").glob("*.pt2"))) == 2
    for tool in ("check", "format --check"):
        call(copy, f"{sys.executable} -m ruff {tool} lib/models/one_stream/gate_track.py")


@pytest.mark.slow
def test_add_a_dataset(copy, tmp_path):
    sequence, drone = open_sequence(DOCS / "demo_sequence"), tmp_path / "drones" / "rocket"
    for camera, name in (("visible", "rgb"), ("infrared", "tir")):
        shutil.copytree(DOCS / "demo_sequence" / camera, drone / name)
    rows = [f"{k},{x},{y},{x + w},{y + h}" for k, (x, y, w, h) in enumerate(sequence.boxes, 1)]
    (drone / "boxes.csv").write_text("\n".join(["frame,left,top,right,bottom", *rows]))
    printed = follow(copy, "add_a_dataset.md", folder=("/data/drones", drone.parent))
    assert "2 passed" in printed and "drones" in printed
    for tool in ("check", "format --check"):
        call(copy, f"{sys.executable} -m ruff {tool} lib/datasets/readers/drones.py tests/datasets/test_drones.py")

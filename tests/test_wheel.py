"""The package as users install it: in an environment of its own, in a folder with a `lib` of theirs."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "docs" / "demo_sequence"
SOURCES = ("lib", "experiments", "pretrained_models", "docs/demo_sequence")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
FIVE_LINES = """
import sys
import rgbt_toolbox
assert "torch" not in sys.modules and "site-packages" in rgbt_toolbox.__file__
import cv2
visible, infrared = cv2.imread(sys.argv[1]), cv2.imread(sys.argv[2])
from rgbt_toolbox import Tracker
tracker = Tracker("tiny")
target = tracker.init(visible, infrared, box=(517, 106, 114, 324), order="bgr")
target = tracker.update(visible, infrared)
print(target.box.tolist(), target.score, target.found)
for frame in tracker.follow(sys.argv[3], sys.argv[4], box=(517, 106, 114, 324)):
    if frame.index == 3:
        break
print(frame.target)
"""


def run(*command, cwd, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


def copy_sources(target):
    """What the wheel is built from, with local files, which must not get into it."""
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, target)
    for place in ("train/admin", "test/evaluation"):
        (target / "lib" / place / "local.py").write_text("save_dir = '/home/somebody'\n")


def make_environment(folder, *requirement):
    """A fresh environment with one package installed, that sees what else this Python has."""
    venv.create(folder, with_pip=False)
    inside = Path(
        run(folder / "bin" / "python", "-c", "import site; print(site.getsitepackages()[0])", cwd="/").strip()
    )
    (inside / "shared.pth").write_text(f"{Path(np.__file__).parents[1]}\n")  # its own .pth files are not read
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", *requirement, cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    copy_sources(source)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", source / "dist"]
    run(sys.executable, "-m", "pip", "wheel", *options, source, cwd=source)
    (made,) = (source / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Where the commands of an environment lie that the wheel was installed into."""
    return make_environment(tmp_path_factory.mktemp("environment") / "venv", wheel)


@pytest.fixture
def empty(tmp_path):
    """A user's folder: nothing of the toolbox, but a `lib`, as every fork of OSTrack has."""
    (tmp_path / "work" / "lib").mkdir(parents=True)
    (tmp_path / "work" / "lib" / "__init__.py").write_text("raise RuntimeError('the decoy was imported')\n")
    return tmp_path / "work"


@pytest.mark.slow
def test_the_wheel_holds_what_is_needed_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    assert all(name.startswith("rgbt_toolbox/") for name in inside)
    assert not any(name.endswith(("local.py", ".pyc")) for name in names)
    expected = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("experiments/*/*.yaml")}
    expected |= {
        f"pretrained_models/{name}" for name in ("iimf_lite_xs.safetensors", "fear_xs.safetensors", "README.md")
    }
    expected |= {path.relative_to(ROOT).as_posix() for path in DEMO.rglob("*") if path.is_file()}
    assert {f"rgbt_toolbox/{name}" for name in expected} <= inside
    code = {path.relative_to(ROOT / "lib").as_posix() for path in ROOT.glob("lib/**/*.py") if path.name != "local.py"}
    assert {f"rgbt_toolbox/{name}" for name in code} <= inside
    metadata = next(name for name in names if name.endswith("METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "\nAuthor: The RGB-T Tracking Toolbox authors\n" in text and "\nLicense: MIT\n" in text


@pytest.mark.slow
def test_five_lines_from_a_folder_with_another_lib(installed, empty):
    (empty / "five.py").write_text(FIVE_LINES)
    sources = [DEMO / "visible" / "00001v.jpg", DEMO / "infrared" / "00001i.jpg", DEMO / "visible", DEMO / "infrared"]
    first, last = run(installed / "python", "five.py", *sources, cwd=empty).splitlines()
    assert first.endswith("True") and last.startswith("Target('target 0'")


@pytest.mark.slow
def test_commands_from_a_folder_with_another_lib(installed, empty):
    pair = ["--visible", DEMO / "visible", "--infrared", DEMO / "infrared", "--box", "517,106,114,324"]
    shown = run(installed / "rgbt", "track", *pair, "--max_frames", "5", "--out", "out", cwd=empty)
    assert "5 frames" in shown and (empty / "out" / "tracking.mp4").is_file()
    assert "5 frames" in run(installed / "rgbt", "demo", "--max_frames", "5", cwd=empty)
    assert "rgbt test tbsi_track" in run(installed / "rgbt", "test", "--help", cwd=empty)
    assert re.match(r"rgbt \d", run(installed / "rgbt", "--version", cwd=empty))
    assert "rgbt track" not in run(installed / "rgbt", "--help", cwd=empty)  # listed by their names


@pytest.mark.slow
def test_settings_results_and_several_processes(installed, empty, tmp_path):
    """local files lie in the user's own folder; torchrun starts the package's command."""
    home = {"RGBT_HOME": str(tmp_path / "home")}
    assert "wrote: " in run(installed / "rgbt", "init", cwd=empty, **home)
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"local_train.py", "local_test.py"}
    for name in ("a", "b"):
        for stream in ("visible", "infrared"):
            (tmp_path / "data" / name / stream).mkdir(parents=True)
            for file in sorted((DEMO / stream).iterdir())[:3]:
                shutil.copy(file, tmp_path / "data" / name / stream)
        (tmp_path / "data" / name / "visible.txt").write_text("517,106,114,324\n" * 3)
    words = ["iimf_track", "tiny", "--dataset_name", "folder", "--data_dir", tmp_path / "data"]
    more = ["--device", "cpu", "--mode", "multiple", "--nproc_per_node", "2"]
    shown = run(installed / "rgbt", "test", *words, *more, cwd=empty, **home)
    assert "score them: rgbt score --tracker_name iimf_track" in shown and "(6 frames in" in shown
    assert "2 sequences, plain rules" in run(installed / "rgbt", "score", *words, cwd=empty, **home)


@pytest.mark.slow
def test_an_editable_install_has_the_public_name_and_the_command(tmp_path, empty):
    source = tmp_path / "checkout"
    source.mkdir()
    copy_sources(source)
    (source / "tracking").mkdir()
    commands = make_environment(tmp_path / "venv", "--editable", source)
    shown = run(commands / "python", "-c", "import rgbt_toolbox; print(rgbt_toolbox.__file__)", cwd=empty)
    assert Path(shown.strip()) == source / "lib" / "__init__.py"
    assert "evaluate:" in run(commands / "rgbt", "--help", cwd=empty)
    assert "lib" in run(commands / "python", "-c", "import lib; print(lib.__file__)", cwd=source)

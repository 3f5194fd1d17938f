"""Commands that are killed at random moments, and given again: they go on, and end with what they would have written.

RGBT_KILLS=20 pytest -m slow tests/test_random_kills.py      so many kills of each command instead of one
RGBT_KILLS_SEED=7 …                                           other moments
"""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lmdb
import micro
import numpy as np
import pytest
import test_training as basics

from lib.core.checkpoint import load_checkpoint, load_weights, save_weights
from lib.test.demo.bundled import CHECKPOINT

ROOT = Path(__file__).parents[1]
clone = basics.clone
NUMBER, SEED = (int(os.environ.get(name, default)) for name, default in (("RGBT_KILLS", "1"), ("RGBT_KILLS_SEED", "0")))
PATIENCE = 900  # seconds
MODEL = "pretrained_models/iimf_tiny.safetensors"
REFINER = "refiner.safetensors"
SMALL = [change for change in micro.VARIANTS["alpha_refine"][2] if "PRETRAIN" not in change]
SEARCHED = "TEST.SEARCH_FACTOR=3,4"
SET = ["--dataset_name", "folder", "--data_dir", "data/lasher/testingset"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]


class Killable(NamedTuple):
    """A command: its words, in which OUT is a folder; what it wrote there, by name; the file that it writes last."""

    words: list[str]
    read: Callable[[Path], dict]
    last: str = ""


def checkpoints(folder):
    files = sorted(folder.rglob("*.pth.tar"))
    assert len(files) == 4
    return {f"{path.name} {key}": value for path in files for key, value in load_checkpoint(path)["net"].items()}


def files(folder, left_out=("_time.txt", ".mp4", "config.yaml", "data.json")):
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(left_out)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def packed(folder):
    """The index, and the images by key: pages of a store that was filled in two runs lie in another order."""
    found = files(folder, (".lmdb",))
    for path in folder.rglob("*.lmdb"):
        with lmdb.open(str(path), subdir=False, lock=False, readonly=True) as store, store.begin() as view:
            found |= {f"{path.name} {key.decode()}": value for key, value in view.cursor()}
    return found


def weights(folder):
    return load_weights(folder / "a.pth")


def compared(folder):
    """Results and figures, without the seconds."""
    found = files(folder, ("_time.txt", "config.yaml", "data.json", "page.md", "figures.csv"))
    rows = (folder / "figures.csv").read_text(encoding="utf-8").splitlines()
    return found | {row: row for row in rows if "frames" not in row}


def trials(folder):
    found = json.loads((folder / "trials.json").read_text())["trials"]
    records = {one["folder"]: json.dumps({**one, "frames_per_second": None}, sort_keys=True) for one in found}
    return records | {name: content for name, content in files(folder).items() if name.endswith(".txt")}


TRAIN = ["train", "--script", "iimf_track", "--config", "micro.yaml", "--save_dir", "OUT", "--device", "cpu"]
COMMANDS = {
    "train": Killable(TRAIN, checkpoints),
    "train, two processes": Killable([*TRAIN, "--mode", "multiple", "--nproc_per_node", "2"], checkpoints),
    "test": Killable(["test", "iimf_track", "tiny", *SET, "--results_dir", "OUT"], files),
    "pack": Killable(
        ["pack_dataset", "lasher_test", "--data_dir", "data/many", "--out", "OUT"], packed, "lasher_test/images.lmdb"
    ),
    "crops": Killable(
        ["prepare_crops", "lasher_train", "--data_dir", "data/lasher", "--out", "OUT", "--workers", "2"],
        packed,
        "lasher/crop511.lmdb",
    ),
    "synthetic": Killable(["make_synthetic", "--out", "OUT", "--number", "8", "--frames", "30"], files),
    "video_demo": Killable(
        ["video_demo", "--sequence", "data/lasher/testingset/video0", "--out", "OUT"], files, "boxes.txt"
    ),
    "convert": Killable(["convert_checkpoint", MODEL, "OUT/a.pth"], weights, "a.pth"),
    "refine": Killable(
        ["refine_results", "data/theirs", "--refine", "alpha_refine/secm_r34", "--refine_checkpoint", REFINER,
         "--refine_set", *SMALL, *SET, "--device", "cpu", "--masks", "--results_dir", "OUT"],
        files,
    ),
    "compare": Killable(
        ["compare_trackers", "box=opencv:static", f"iimf_track:tiny@{MODEL}", "--data_dir", SET[-1], "--device", "cpu",
         "--out", "OUT"],
        compared,
    ),
    "tune": Killable(["tune", "iimf_track", "tiny", *SET, "--search", SEARCHED, "--out", "OUT"], trials),
}  # fmt: skip


@pytest.fixture(scope="module")
def toolbox(clone):
    """A copy of the toolbox with a little LasHeR, a small configuration and two bundled models."""
    (clone / "pretrained_models").mkdir()
    for model in (ROOT / MODEL, CHECKPOINT):
        shutil.copy(model, clone / "pretrained_models")
    put_many(clone / "data" / "many" / "testingset")
    save_weights(clone / REFINER, micro.model("alpha_refine").state_dict(), {})
    (clone / "data" / "theirs").mkdir()
    for boxes in (clone / SET[-1]).glob("*/visible.txt"):
        shutil.copy(boxes, clone / "data" / "theirs" / f"{boxes.parent.name}.txt")
    return clone


def put_many(folder, frames=1500):
    """Sequences of so many images that a kill often comes while they are packed, which looks at none of them."""
    for name in ("a", "b"):
        for stream in ("visible", "infrared"):
            (folder / name / stream).mkdir(parents=True)
            for frame in range(frames):
                (folder / name / stream / f"{frame:06d}.jpg").write_bytes(f"{name} {stream} {frame} ".encode() * 1500)
        (folder / name / "visible.txt").write_text("1,1,5,5\n" * frames)


def start(toolbox, command, out):
    script, *words = (word.replace("OUT", str(out)) for word in command.words)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(out.parent / "cache")}
    with open(out.with_suffix(".log"), "a") as log:
        return subprocess.Popen(
            [sys.executable, f"tracking/{script}.py", *words], cwd=toolbox, env=environment, stdout=log, stderr=log,
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip


def finish(toolbox, command, out):
    process = start(toolbox, command, out)
    assert process.wait(PATIENCE) == 0, out.with_suffix(".log").read_text()[-3000:]


def running(out):
    """Numbers of the processes whose command line names a folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{out}\0".encode() in words:
            found.append(int(folder.name))
    return found


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_that_is_killed_goes_on_and_leaves_nothing_over(toolbox, tmp_path, name):
    command, rng = COMMANDS[name], np.random.default_rng([SEED, list(COMMANDS).index(name)])
    begin = time.monotonic()
    finish(toolbox, command, tmp_path / "whole")
    seconds, expected = time.monotonic() - begin, command.read(tmp_path / "whole")
    assert len(expected) > 1, "what the command wrote, which the runs below are compared with"
    moments = []
    for number in range(NUMBER):
        out, moment = tmp_path / f"killed{number}", rng.uniform(0.3, 1) * seconds
        kind = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[rng.integers(3)]
        process = start(toolbox, command, out)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(kind)
            process.wait(PATIENCE)
        until = time.monotonic() + PATIENCE
        while running(out) and time.monotonic() < until:
            time.sleep(0.2)
        assert running(out) == [], f"killed by {kind.name} after {moment:.1f} s"
        done = process.returncode == 0
        assert done or process.returncode in (-kind, 128 + kind), f"{kind.name} after {moment:.1f} s"
        if not (command.last and (out / command.last).exists()):
            finish(toolbox, command, out)
        over = [path.name for path in out.rglob(".*")]
        assert over == [] and list(tmp_path.glob(".*")) == [], f"{kind.name} after {moment:.1f} s"
        assert same(expected, command.read(out)), f"{kind.name} after {moment:.1f} s"
        moments.append(f"{moment:.1f} s {'ended before' if done else kind.name}")
    print(f"{name}: {seconds:.1f} s; {NUMBER} times killed and goes on: {', '.join(moments)}")

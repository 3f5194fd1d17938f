"""Ctrl-C while several settings wait for the same frame: the search ends, and goes on when it is called again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import micro
import pytest
from micro import VARIANTS
from safetensors.torch import save_file
from trees import put_moving_square

ROOT = Path(__file__).parents[3]
PATIENCE = 300  # seconds, on a busy machine

#: `rgbt tune` where decoding takes a while and says when it begins
SLOWLY = f"""import sys, time
sys.path.insert(0, {str(ROOT)!r})
from lib.cli import tune
from lib.core.errors import run
from lib.datasets.sequence import FileFrames

plain = FileFrames.reduced

def slow(frames, index, reduction):
    print(f"reading {{index}}\\n", end="", flush=True)  # in one piece: threads print at the same time
    time.sleep(float(sys.argv[1]))
    return plain(frames, index, reduction)

FileFrames.reduced = slow
run(lambda: tune.main(sys.argv[2:]))
"""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("frame", [0, 1, 3])
def test_a_search_whose_readers_share_frames_ends_at_ctrl_c_and_goes_on(tmp_path, frame):
    put_moving_square(tmp_path / "data" / "a")
    save_file(micro.model("iimf_track").state_dict(), tmp_path / "w.safetensors")
    folder, config, changes = VARIANTS["iimf_track"]
    words = [folder, config, "--device", "cpu", "--dataset_name", "folder", "--data_dir", tmp_path / "data"]
    words += ["--checkpoint", tmp_path / "w.safetensors", "--out", tmp_path / "out", "--set", *changes]
    words += ["--search", "TEST.SEARCH_FACTOR=3,3.5,4"]

    def start(seconds):
        return subprocess.Popen(
            [sys.executable, "-c", SLOWLY, seconds, *words], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    with start("0.5") as process:
        assert process.stdout is not None
        assert any(line == f"reading {frame}\n" for line in process.stdout), "the frame is read"
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1].splitlines()
    assert process.returncode == 130 and said[-1].startswith("interrupted: finished work is kept")
    assert not any("Traceback" in line or "Exception ignored" in line for line in said)
    assert not list((tmp_path / "out").rglob(".*")) and not list((tmp_path / "out").rglob("a.txt"))
    with start("0") as process:
        out, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert len(list((tmp_path / "out").rglob("a.txt"))) == 3 and out.count("reading") < 3 * 6

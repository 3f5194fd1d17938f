"""tracking/test.py over several processes and machines: the files are those of one process."""

import functools
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from torch.distributed import HashStore
from trees import SYNTHETIC_SEQUENCE

from lib.core.config import load_config
from lib.core.work_sharing import WorkSharing
from lib.datasets.readers.folder import read_folder
from lib.test.evaluation.engine import follow
from lib.test.evaluation.open import load_tracker
from lib.test.evaluation.record import record_run
from lib.test.results.files import write_result
from lib.test.tracker.forward_pass import Mode

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "pretrained_models" / "iimf_tiny.safetensors"
PATIENCE = 900  # seconds, on a busy machine
LENGTHS = {"long": 9, "middle": 7, "short": 4, "single": 1}


def test_every_number_goes_to_one_process():
    store = HashStore()
    here, there = WorkSharing(store, 0, 2), WorkSharing(store, 1, 2)
    assert [here.draw(), there.draw(), there.draw(), here.draw()] == [0, 1, 2, 3]
    assert here.count(5) == 5 and there.count(2) == 7
    store.set("words/1", json.dumps(["b", "c"]))
    assert here.gather(["a", "b"]) == {"a", "b", "c"}
    there.wait_for_all()
    here.wait_for_all()  # returns, since the other has left


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Parts of the synthetic sequence, in LasHeR layout."""
    root, demo = tmp_path_factory.mktemp("data"), SYNTHETIC_SEQUENCE
    for name, length in LENGTHS.items():
        for stream in ("visible", "infrared"):
            (root / name / stream).mkdir(parents=True)
            for file in sorted((demo / stream).iterdir())[:length]:
                shutil.copy(file, root / name / stream)
        shutil.copy(demo / "init.txt", root / name)
    return root


def start(data, results, *more):
    command = [sys.executable, ROOT / "tracking" / "test.py", "iimf_track", "tiny", "--dataset_name", "folder"]
    command += ["--data_dir", data, "--checkpoint", WEIGHTS, "--results_dir", results, "--device", "cpu", *more]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, status=0):
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, out
    return out


def boxes(results):
    folder = results / "iimf_track" / "tiny"
    return {name: (folder / f"{name}.txt").read_bytes() for name in LENGTHS}


@pytest.mark.slow
@pytest.mark.long
def test_processes_and_machines_write_what_one_process_writes(data, tmp_path):
    cfg = load_config("iimf_track", "tiny")
    tracker = load_tracker(cfg, WEIGHTS, "cpu")
    save = functools.partial(write_result, tmp_path / "one/iimf_track/tiny")
    follow(tracker, read_folder(data), save)
    for file in ("middle.txt", "middle_time.txt"):  # an interrupted run left it
        (tmp_path / "two/iimf_track/tiny").mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "one/iimf_track/tiny" / file, tmp_path / "two/iimf_track/tiny")
    record_run(tmp_path / "three", cfg, [WEIGHTS], mode=Mode(batch=2))
    shutil.copy(tmp_path / "three/config.yaml", tmp_path / "two/iimf_track/tiny")
    out = finish(start(data, tmp_path / "two", "--batch", "2", "--mode", "multiple", "--nproc_per_node", "2"))
    assert out.count("1 of 4 sequences finished already") == 1
    assert out.count("frames/s)") == 1 and "(14 frames in" in out
    with socket.create_server(("", 0)) as free:
        port = str(free.getsockname()[1])
    nodes = ("--mode", "multi_node", "--world-size", "2", "--port", port)
    machines = [start(data, tmp_path / f"node{rank}", *nodes, "--rank", str(rank)) for rank in (0, 1)]
    for process in machines:
        finish(process)
    assert boxes(tmp_path / "two") == boxes(tmp_path / "one")
    apart = [file for rank in (0, 1) for file in (tmp_path / f"node{rank}/iimf_track/tiny").glob("*_time.txt")]
    assert sorted(file.name for file in apart) == sorted(f"{name}_time.txt" for name in LENGTHS)  # each done once

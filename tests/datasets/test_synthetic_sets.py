"""The synthetic data sets by name, the contact sheet, and sequences on disk."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.cli import synthetic
from lib.core.errors import InputError
from lib.datasets import DATASETS, load_dataset
from lib.datasets.readers.lasher import ATTRIBUTES, read_testing
from lib.datasets.synthetic import contact_sheet, stream, write_sequences

DRAWN = Path("")
ROOT = Path(__file__).resolve().parents[2]


def test_the_registry_draws_without_a_folder():
    assert {"synthetic_train", "synthetic_val"} <= set(DATASETS)
    assert len(load_dataset("synthetic_val", {"photos_dir": ""})[0].boxes) == 60


def test_written_sequences_read_back_as_lasher(tmp_path):
    out = tmp_path / "set"
    sequences = stream(DRAWN, 60, held_out=True, frames=12, size=(96, 80))
    absent = next(s for s in sequences if (s.boxes[:, 2] == 0).any())
    chosen = [absent, sequences[0] if absent is not sequences[0] else sequences[1]]
    write_sequences(chosen, out, recipe="test")
    folder = out / "testingset" / absent.name
    assert sorted(path.name for path in out.iterdir()) == [
        "AttriSeqsTxt", "recipe.txt", "testingset", "testingsetList.txt",
    ]  # fmt: skip
    assert (folder / "visible/v000000.jpg").is_file() and (folder / "infrared/i000011.jpg").is_file()
    rows = (folder / "visible.txt").read_text().split()
    assert rows == (folder / "infrared.txt").read_text().split() == (folder / "init.txt").read_text().split()
    assert [row == "0,0,0,0" for row in rows] == (~absent.valid).tolist()
    read = read_testing(out)
    assert [sequence.name for sequence in read] == [sequence.name for sequence in chosen]
    np.testing.assert_allclose(read[0].boxes, absent.boxes, atol=0.006)
    assert read[0].attributes == absent.attributes and list(read[0].attributes) == list(ATTRIBUTES)
    difference = np.abs(read[1].frames[3][1].astype(int) - chosen[1].frames[3][1])
    assert difference.mean() < 6


def test_nothing_is_overwritten_and_an_interrupted_run_continues(tmp_path, monkeypatch):
    out, sequences = tmp_path / "set", stream(DRAWN, 2, held_out=True, frames=3, size=(96, 80))
    real = cv2.imencode
    calls = []

    def fail_in_the_second(*arguments):
        calls.append(None)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr("lib.datasets.synthetic.writer.cv2.imencode", fail_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_sequences(sequences, out, recipe="a")
    assert [path.name for path in (out / "testingset").iterdir()] == [sequences[0].name]
    monkeypatch.undo()
    stamp = (out / "testingset" / sequences[0].name / "visible.txt").stat().st_mtime_ns
    write_sequences(sequences, out, recipe="a")
    assert (out / "testingset" / sequences[0].name / "visible.txt").stat().st_mtime_ns == stamp
    assert (out / "testingset" / sequences[1].name / "init.txt").is_file()
    with pytest.raises(InputError, match=r"set: holds other sequences \(a\); choose another folder for --out"):
        write_sequences(sequences, out, recipe="b")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    with pytest.raises(InputError, match="mine: is not empty"):
        write_sequences(sequences, tmp_path / "mine", recipe="a")


def test_two_runs_into_one_folder_end_with_what_one_writes(tmp_path, capsys):
    folders = tmp_path / "together", tmp_path / "alone"
    words = ["--number", "6", "--frames", "3", "--size", "96x80", "--out"]
    start = partial(subprocess.Popen, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    runs = [start([sys.executable, "tracking/make_synthetic.py", *words, folders[0]]) for _ in range(2)]
    synthetic.main([*words, str(folders[1])])
    said = capsys.readouterr().out
    assert f"{folders[1]}/testingset: 6 sequences of 3 frames" in said
    assert f"--dataset_name folder --data_dir {folders[1]}/testingset" in said
    said = [run.communicate(timeout=600)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    contents = [{path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")} for out in folders]
    assert len(contents[0]) > 36 and contents[0] == contents[1]


def test_contact_sheet_shows_each_pair():
    sheet = contact_sheet(stream(DRAWN, 6, held_out=False, frames=12))
    assert sheet.shape[1] == 4 * 326 and sheet.shape[0] in (134, 268)
    assert (sheet == (0, 255, 0)).all(-1).sum() > 200


def test_visible_set_has_one_stream_that_always_tells_the_target():
    sequences = load_dataset("synthetic_rgb_train", {"photos_dir": ""})[:12]
    assert len(sequences[0].frames[0]) == 1 and sequences[0].frames.modalities == ("visible",)
    assert {sequence.frames.scene.weather.informative for sequence in sequences} == {"visible"}
    held_out = load_dataset("synthetic_rgb_val", {"photos_dir": ""})[0]
    assert held_out.name == "synthetic_rgb_val_00000" and len(held_out.boxes) == 60


def test_leaving_set_loses_its_target_and_sees_it_again():
    sequences = load_dataset("synthetic_rgb_leaving", {"photos_dir": ""})
    assert len(sequences) == 20 and len({sequence.name for sequence in sequences}) == 20
    for sequence in sequences[:10]:
        absent = np.flatnonzero(~sequence.valid)
        assert sequence.valid[:8].all() and len(absent) >= 8 and sequence.valid[-30:].all()

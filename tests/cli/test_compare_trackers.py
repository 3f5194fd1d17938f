"""Several trackers on several sets: what is tracked, what is kept, what the page says."""

import csv

import cv2
import numpy as np
import pytest
from fake_model import fake_tracker
from trees import put_moving_square

from lib.cli import compare_trackers
from lib.core.errors import InputError
from lib.test.evaluation import complete
from lib.test.evaluation import open as evaluation
from lib.test.evaluation import open as opening

STATIC, TINY = "box=opencv:static", "two=iimf_track:tiny"


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Two sets, the second one without infrared; no model was trained."""
    monkeypatch.setattr(opening, "read_local", lambda kind: {"save_dir": str(tmp_path / "trained")})
    for name in ("a", "b"):
        put_moving_square(tmp_path / "pairs" / name)
    put_moving_square(tmp_path / "single" / "c", infrared=False)
    return ["--data_dir", f"P={tmp_path / 'pairs'}", f"S={tmp_path / 'single'}", "--out", str(tmp_path / "out")]


@pytest.fixture
def tracked(monkeypatch):
    """The names of the folders and sequences that were tracked; a small network stands in for `tiny`."""
    jobs, run = [], complete.run_tracking

    def note(job, devices):
        jobs.append(([sequence.name for sequence in job.sequences], job.save.args[0]))
        run(job, devices)

    load = evaluation.load_tracker

    def stand_in(cfg, checkpoint, device, mode):
        return load(cfg, None, device) if checkpoint is None else fake_tracker("cpu")

    monkeypatch.setattr(evaluation, "load_tracker", stand_in)
    monkeypatch.setattr(complete, "run_tracking", note)
    return jobs


def figures(tmp_path):
    with open(tmp_path / "out" / "figures.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["page.md", "figures.csv"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_tracking(sets, tracked, tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=f"{name}: is a folder"):
        compare_trackers.main([STATIC, *sets])
    assert not tracked


def test_a_repeated_run_tracks_new_trackers_alone(sets, tracked, tmp_path, capsys):
    compare_trackers.main([STATIC, "--per_sequence", *sets])
    assert [names for names, _ in tracked] == [["a", "b"], ["c"]]
    page = (tmp_path / "out" / "page.md").read_text(encoding="utf-8")
    assert "### P: 2 RGB-T sequences, 12 frames" in page and "### S: 1 RGB sequence, 6 frames" in page
    assert "| a |" in page and "by what happens to the cameras" not in page
    tracked.clear()
    compare_trackers.main([STATIC, "other=opencv:static", TINY, "--cameras", "recorded", "visible_noise", *sets])
    places = [folder.relative_to(tmp_path / "out" / "results").as_posix() for _, folder in tracked]
    assert places == ["P/recorded/iimf_track/tiny", "P/visible_noise/iimf_track/tiny", "S/recorded/iimf_track/tiny"]
    page = (tmp_path / "out" / "page.md").read_text(encoding="utf-8")
    assert "| tracker | recorded | visible_noise |" in page and "mIoU against" in page
    tracked.clear()
    (tmp_path / "out" / "results" / "P" / "recorded" / "iimf_track" / "tiny" / "b.txt").unlink()
    compare_trackers.main([STATIC, TINY, "--tables_only", *sets])
    assert not tracked
    assert {row["tracker"] for row in figures(tmp_path) if (row["set"], row["cameras"]) == ("P", "recorded")} == {"box"}


def test_hidden_frames_and_the_first_one_do_not_count(sets, tracked, tmp_path, capsys):
    """The square moves 3 of its 16 pixels a frame: of six frames the third is hidden in both streams."""
    for name in ("visible.txt", "infrared.txt", "init.txt"):
        rows = [f"{20 + 3 * index},20,16,16" if index != 2 else "0,0,0,0" for index in range(6)]
        (tmp_path / "pairs" / "a" / name).write_text("\n".join(rows))
    compare_trackers.main([STATIC, *sets])
    (found,) = [row for row in figures(tmp_path) if row["sequence"] == "a" and row["metric"] == "mIoU"]
    shifts = 3 * np.array([1, 3, 4, 5])
    assert float(found["value"]) == pytest.approx(((16 - shifts) / (16 + shifts)).mean(), abs=1e-6)


def test_a_tracker_of_one_stream_meets_only_sets_that_have_it(sets, tracked, tmp_path, monkeypatch, capsys):
    compare_trackers.main(["opencv:mil:infrared", STATIC, *sets])
    names = {(row["set"], row["tracker"]) for row in figures(tmp_path)}
    assert names == {("P", "opencv mil, infrared"), ("P", "box"), ("S", "box")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tiny"], "tiny: expected \\[NAME=\\]TRACKER:CONFIG\\[:STREAM\\]"),
        (["iimf_track:tiny:visible"], "TEST.STREAM"),
        ([STATIC, "--data_dir", "../x=."], "'../x' names a folder of results; give a name without slashes"),
        ([STATIC, STATIC], "tracker 'box' is given twice; give one of them another name"),
        (["opencv:nano", "--nano_backbone", "nowhere.onnx"], "MODEL.BACKBONE_FILE: file 'nowhere.onnx' does not exist"),
        (["iimf_track:tiny@nowhere.safetensors"], "nowhere.safetensors: checkpoint does not exist"),
        ([STATIC, "--tables_only"], "P: no tracker is finished on it; run the command without --tables_only"),
    ],
)
def test_what_cannot_be_compared_is_one_line(sets, words, message):
    with pytest.raises(InputError, match=message) as error:
        compare_trackers.main([*sets, *words])
    assert "\n" not in str(error.value)


def test_opencv_without_a_tracker_is_said(sets, monkeypatch):
    for name in ("TrackerMIL", "TrackerMIL_create"):
        monkeypatch.delattr(cv2, name, raising=False)
    with pytest.raises(InputError, match="TrackerMIL: OpenCV"):
        compare_trackers.main(["opencv:mil", *sets])


def test_onnxruntime_computes_what_can_be_exported(sets, monkeypatch, caplog):
    prepared = []

    def prepare(run, mode):
        prepared.append((run.cfg.MODEL.NAME, mode.backend))
        if run.cfg.MODEL.NAME == "fear":
            raise InputError("Fear: cannot be exported as graphs")

    monkeypatch.setattr(opening.Run, "prepare", prepare)
    args = compare_trackers.parse_arguments([STATIC, "--backend", "onnxruntime", *sets])
    texts = (STATIC, TINY, "light=fear:xs")
    with caplog.at_level("INFO"):
        modes = [compare_trackers.open_contestant(text, args).mode.backend for text in texts]
    assert modes == ["torch", "onnxruntime", "torch"]
    assert prepared == [("iimf_track", "onnxruntime"), ("fear", "onnxruntime")]
    assert "light: computed by PyTorch (Fear: cannot be exported as graphs)" in caplog.text
    monkeypatch.undo()
    plain = compare_trackers.parse_arguments([TINY, *sets])
    assert compare_trackers.open_contestant(TINY, plain).mode.backend == "torch"

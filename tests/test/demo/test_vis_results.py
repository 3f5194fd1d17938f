"""Worst moments, sheets and videos of results that are drawn over small moving squares."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from fake_model import moving_sequence

from lib.cli import vis
from lib.core.errors import InputError
from lib.datasets.sequence import INFRARED, VISIBLE
from lib.test.analysis.moments import find_moments, frame_boxes, overlaps, true_boxes, worst_first
from lib.test.demo.gallery import COLOURS, TrackedSequence, collect_moments, read_tracked_sequences
from lib.test.results.files import write_result
from lib.test.video.draw import GREEN, legend_strip
from lib.test.video.video import VideoFrames, write_image

LENGTH = 24


def shifted(sequence, frames, by=(80, 0, 0, 0)) -> np.ndarray:
    """The true boxes, moved away in some frames."""
    boxes = sequence.boxes.copy()
    boxes[list(frames)] += by
    return boxes


SEQUENCES = [moving_sequence(name, LENGTH, step=(2, 1)) for name in ("car", "man")]


@pytest.fixture
def sequences():
    return SEQUENCES


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The sequences as LasHeR-layout folders."""
    root = tmp_path_factory.mktemp("data")
    for sequence in SEQUENCES:
        for index in range(LENGTH):
            for modality, image in zip((VISIBLE, INFRARED), sequence.frames[index], strict=True):
                write_image(root / sequence.name / modality / f"{modality[0]}{index:06d}.png", image)
        np.savetxt(root / sequence.name / "visible.txt", sequence.boxes, fmt="%d", delimiter=",")
    return root


@pytest.fixture
def results(tmp_path, sequences):
    """`sharp` is always right; `blind` loses car for 4 frames and man for 9, `dull` is never far nor right."""
    for sequence, lost in zip(sequences, (range(5, 9), range(12, 21)), strict=True):
        seconds = np.ones(LENGTH)
        write_result(tmp_path / "sharp", sequence.name, sequence.boxes, seconds)
        write_result(tmp_path / "blind", sequence.name, shifted(sequence, lost), seconds)
        write_result(tmp_path / "dull", sequence.name, sequence.boxes + [0, 11, 0, 0], seconds)
    return {name: tmp_path / name for name in ("blind", "sharp", "dull")}


@pytest.fixture
def vis_results(monkeypatch, data):
    """Runs tracking/vis_results.py in this process."""

    def run(*arguments):
        words = ["vis_results.py", "--dataset_name", "folder", "--data_dir", data, *arguments]
        monkeypatch.setattr("sys.argv", list(map(str, words)))
        vis.main()

    return run


def options(results, *names):
    return ["--results", *(f"{name}={results[name]}" for name in names)]


def test_worst_moments_come_first(sequences, results):
    tracked = read_tracked_sequences(sequences, results)
    moments = collect_moments(tracked, "blind", "sharp", 5)
    assert [(m.sequence, m.first, m.last, round(m.loss, 6)) for m in moments] == [("man", 12, 20, 9), ("car", 5, 8, 4)]
    assert collect_moments(tracked, "blind", "annotation", 1) == moments[:1]
    assert collect_moments(tracked, "sharp", "blind", 5) == [] == collect_moments(tracked, "blind", "dull", 5)


def test_moments_end_at_long_pauses_only():
    lost = dict.fromkeys(range(60), 0.8) | dict.fromkeys([3, 4, 12, 40], 0.0)
    kept = dict.fromkeys(range(60), 0.6) | {4: 0.9}
    moments = find_moments("x", lost, kept)
    assert [(m.first, m.last, m.peak) for m in moments] == [(3, 12, 4), (40, 40, 40)]
    assert moments[0].loss == pytest.approx(0.6 + 0.9 + 0.6)
    assert worst_first(reversed(moments), 1) == moments[:1]


def test_absent_targets_and_sparse_annotations(sequences):
    boxes = sequences[0].boxes.copy()
    boxes[3] = 0
    absent = replace(sequences[0], boxes=boxes)
    assert 3 not in true_boxes(absent) and len(true_boxes(absent)) == LENGTH - 1
    sparse = replace(sequences[0], boxes=boxes[::10], annotated=np.arange(0, LENGTH, 10))
    for result in (sequences[0].boxes, boxes[::10]):
        placed = frame_boxes(sparse, result, "x.txt")
        assert overlaps(true_boxes(sparse), placed) == {0: 1, 10: 1, 20: 1}
    with pytest.raises(InputError, match=r"x\.txt: 7 rows for 24 frames"):
        frame_boxes(sequences[0], boxes[:7], "x.txt")


def test_lost_boxes_overlap_with_nothing(sequences):
    result = sequences[0].boxes.copy()
    result[2] = np.nan
    assert overlaps(true_boxes(sequences[0]), dict(enumerate(result)))[2] == 0


def test_picture_shows_every_tracker_on_both_modalities(sequences, results):
    picture = read_tracked_sequences(sequences, results)[0].picture(6)
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    for half in (left, right):
        assert all((np.abs(half - np.array(colour)).max(-1) < 40).sum() > 100 for colour in COLOURS[:3])
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    assert (left[:40] == GREEN).all(-1).any()


def test_legend_takes_the_lines_that_it_needs():
    words = [(f"tracker {index} 0.50", COLOURS[index % 7]) for index in range(7)]
    narrow, wide = legend_strip(words, 400, 400), legend_strip(words, 2000, 400)
    assert narrow.shape[0] > 2 * wide.shape[0] and narrow.shape[1] == 400 and narrow.shape[0] % 2 == 0
    for strip in (narrow, wide):
        assert all((np.abs(strip.astype(int) - colour).max(-1) < 40).any() for _, colour in words)


def test_command_writes_moments(vis_results, results, tmp_path, capsys):
    vis_results(*options(results, "blind", "sharp"), "--output", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "blind loses what sharp keeps" in printed and printed.index("man ") < printed.index("car ")
    assert (tmp_path / "out" / "moments.csv").read_text().splitlines()[1] == "man,13,21,13,9.00"
    sheet = cv2.imread(str(tmp_path / "out" / "contact_sheet.png"))
    assert sheet.shape[1] == 2 * (800 + 8)
    assert len(VideoFrames(tmp_path / "out" / "moments.mp4")) == LENGTH + LENGTH


def test_command_writes_whole_sequences(vis_results, results, tmp_path):
    vis_results(*options(results, "dull"), "--sequence", "car", "1", "--output", tmp_path / "out", "--fps", "10")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"car.mp4", "car.png", "man.mp4", "man.png"}
    assert len(VideoFrames(tmp_path / "out" / "car.mp4")) == LENGTH


def test_nothing_lost_is_said(vis_results, results, tmp_path, capsys):
    vis_results(*options(results, "sharp"), "--output", tmp_path / "out")
    assert "sharp loses nothing that annotation keeps in 2 sequences" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_sequences_without_all_results_are_left_out(sequences, results, caplog):
    (results["dull"] / "car.txt").unlink()
    tracked = read_tracked_sequences(sequences, results)
    assert [item.sequence.name for item in tracked] == ["man"] and isinstance(tracked[0], TrackedSequence)
    assert "left out, not every tracker has a result: 1 sequence: car" in caplog.text
    (results["dull"] / "man.txt").unlink()
    with pytest.raises(InputError, match="no sequence has results of every tracker"):
        read_tracked_sequences(sequences, results)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kept", "nobody"], "--kept nobody: no such tracker; there are blind, sharp"),
        (["--lost", "annotation"], "--lost annotation: no such tracker"),
        (["--moments", "0"], "--moments 0: expected a number above 0"),
        (["--dataset_name", "gtot"], "expected <sequence>/v; correct --data_dir"),
        (["--sequence", "cra"], "did you mean car"),
        (["--results", *(f"t{index}=." for index in range(8))], "10 trackers, at most 7 colours"),
    ],
)
def test_wrong_command_lines(vis_results, results, words, message):
    with pytest.raises(InputError, match=message) as error:
        vis_results(*options(results, "blind", "sharp"), *words)
    assert "\n" not in str(error.value)

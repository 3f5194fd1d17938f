"""Labels for unlabelled videos, made from drawn videos of bright moving blobs and a tracker that follows brightness."""

import json
import logging
from collections import Counter
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from lib.cli import labels
from lib.core.errors import InputError
from lib.core.frame import Streams
from lib.core.target import Target
from lib.datasets.readers.folder import read_folder
from lib.datasets.sequence import Frames
from lib.test.labels.following import Pair, Path, Seed, follow_both_ways
from lib.test.labels.make import Source, make_labels
from lib.test.labels.proposals import background_of, distinct, moving_boxes, warm_boxes
from lib.test.labels.spans import Rules, Span, choose_span, drop_copies, merge
from lib.test.labels.video import Search, find_spans
from lib.test.metrics.measure import overlap

FRAMES, SIZE = 24, (120, 160)
SEARCH = Search(step=1, span=24, hop=12, most_targets=4, rules=Rules(least_frames=10))


class Brightest:
    """Takes what is bright around the last box; lost where nothing is."""

    streams = Streams(1)

    def start(self, frames, boxes, names=()):
        return [Target("blob", np.asarray(box, np.float64)) for box in boxes]

    def track(self, targets, frames, observe=None):
        return [self.move(target, images[0]) for target, images in zip(targets, frames, strict=True)]

    def move(self, target, image):
        x, y, w, h = target.box.round().astype(int)
        left, top = max(0, x - w // 2), max(0, y - h // 2)
        bright = image[top : y + h + h // 2, left : x + w + w // 2, 0] > 150
        if not bright.any():
            return Target("blob", target.box, score=0.1)
        rows, columns = np.nonzero(bright)
        box = [left + columns.min(), top + rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        return Target("blob", np.array(box, np.float64), score=0.9)


def truth(frame, row=50):
    return np.array([10 + 4.0 * frame, row, 10, 20])


def draw(boxes, level=40):
    image = np.full((*SIZE, 3), level, np.uint8)
    for x, y, w, h in np.array(boxes, int).reshape(-1, 4):
        image[y : y + h, x : x + w] = 220
    return image


def write_video(folder, rows=(50,), level=40):
    folder.mkdir(parents=True)
    for frame in range(FRAMES):
        cv2.imwrite(str(folder / f"{frame + 1:03d}.png"), draw([truth(frame, row) for row in rows], level))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The labels of a video with two blobs, and the folder of the video."""
    root = tmp_path_factory.mktemp("labels")
    video = write_video(root / "walk", rows=(20, 80))
    make_labels(Brightest(), "brightest", [Source(("infrared",), (video,))], root / "out", SEARCH)
    return root / "out", video


def test_moving_blobs_become_sequences_of_infrared_alone(made):
    sequences = read_folder(made[0])
    assert [sequence.name for sequence in sequences] == ["walk_01", "walk_02"]
    for sequence, row in zip(sequences, (20, 80), strict=True):
        assert sequence.frames.modalities == ("infrared",) and len(sequence) == FRAMES
        assert (overlap(np.stack([truth(k, row) for k in range(FRAMES)]), sequence.boxes) > 0.8).all()
        x, y, w, h = truth(FRAMES - 1, row).astype(int)
        assert sequence.frames[FRAMES - 1][0][y + h // 2, x + w // 2, 0] > 200
    one, two = (made[0] / "walk" / name / "infrared" / "00005i.jpg" for name in ("walk_01", "walk_02"))
    assert one.samefile(two)
    assert cv2.imread(str(made[0] / "walk" / "contact_sheet_1.jpg")).shape == (2 * 200, 8 * 180, 3)
    report = json.loads((made[0] / "walk" / "report.json").read_text())
    assert report["sequences"] == 2 and report["frames"] == 2 * FRAMES


def test_finished_videos_are_skipped_and_nothing_is_overwritten(made, caplog):
    out, video = made
    source = Source(("infrared",), (video,))
    with caplog.at_level(logging.INFO):
        make_labels(None, "brightest", [source], out, SEARCH)
    assert "walk: is finished" in caplog.text
    with pytest.raises(InputError, match="walk: was made with another video; choose"):
        make_labels(None, "brightest", [Source(("infrared",), (video.parent / "walk.mp4",))], out, SEARCH)
    with pytest.raises(InputError, match="walk: was made with another tracker, step; choose"):
        make_labels(None, "other", [source], out, Search(2, 24, 12, 4, 0, SEARCH.rules))
    (out / "mine").mkdir()
    with pytest.raises(InputError, match="mine: exists and was not written by this command"):
        make_labels(None, "brightest", [Source(("infrared",), (video.parent / "mine.mp4",))], out, SEARCH)
    (out / "mine").rmdir()


def test_an_interrupted_video_leaves_nothing(tmp_path, monkeypatch):
    video = write_video(tmp_path / "walk")
    source = Source(("infrared",), (video,))
    monkeypatch.setattr("lib.test.labels.writing.sheet_row", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_labels(Brightest(), "brightest", [source], tmp_path / "out", SEARCH)
    assert not (tmp_path / "out").exists()


def test_a_registered_pair_gets_one_box_for_both_streams(tmp_path, monkeypatch):
    write_video(tmp_path / "yard" / "visible", level=90)
    write_video(tmp_path / "yard" / "infrared")
    monkeypatch.setattr(labels, "open_tracker", lambda args: Brightest())
    videos = [str(tmp_path / "yard" / name) for name in ("visible", "infrared")]
    options = ["--step", "1", "--span", "24", "--least_frames", "10"]
    labels.main(["--pair", *videos, "--out", str(tmp_path / "out"), *options])
    (sequence,) = read_folder(tmp_path / "out")
    assert sequence.name == "yard_01" and sequence.frames.modalities == ("visible", "infrared")
    assert sequence.boxes_infrared is None and len(sequence) == FRAMES
    folder = tmp_path / "out" / "yard" / "yard_01"
    assert (folder / "visible" / "00001v.jpg").is_file() and (folder / "init.txt").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no video"),
        (["--infrared", "a.mp4", "b/a.mp4"], "2 videos are called a"),
        (["--infrared", "a.mp4", "--span", "10"], "--span 10: expected 20 or more"),
        (["--infrared", "a.mp4", "--agreement", "1"], "--agreement 1.0: expected a number between 0 and 1"),
    ],
)
def test_wrong_options_are_named(words, message, tmp_path):
    with pytest.raises(InputError, match=message):
        labels.main([*words, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_tracker_of_two_cameras_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "open_run", lambda *_, **__: SimpleNamespace(modalities=2))
    with pytest.raises(InputError, match="iimf_track tiny: reads two cameras"):
        labels.main(["iimf_track", "tiny", "--infrared", "a.mp4", "--out", str(tmp_path)])


def test_proposals_are_warm_or_move():
    image, empty = draw([truth(0)]), draw([])
    assert warm_boxes(image).tolist() == [[10, 50, 10, 20]]
    assert len(warm_boxes(draw([[10, 50, 40, 10]]))) == 0  # nobody lies like that
    (moving,) = moving_boxes(image, background_of([empty] * 3))
    assert overlap(moving[None], truth(0)[None])[0] > 0.6
    assert len(moving_boxes(draw([], level=90), background_of([empty]))) == 0  # everything moves: the camera


def test_parts_and_groups_give_way_to_whole_upright_things():
    person, legs, group = [10, 50, 10, 20], [11, 60, 8, 10], [5, 48, 60, 24]
    assert distinct(np.array([group, legs, person], float), np.zeros((0, 4))).tolist() == [person]
    assert len(distinct(np.array([legs], float), np.array([person], float))) == 0


def test_the_way_back_begins_where_the_target_was_seen_last():
    window = [[draw([truth(k)] if k < 12 else [])] for k in range(20)]
    (pair,) = follow_both_ways(Brightest(), window, [Seed(0, 0, truth(0))])
    assert np.isfinite(pair.agreement).nonzero()[0].tolist() == list(range(12))
    assert (pair.agreement[:12] > 0.8).all()


def pair_of(boxes, score=0.9, back=None):
    boxes = np.asarray(boxes, np.float64)
    scores = np.full(len(boxes), score)
    return Pair(Path(boxes, scores), Path(boxes if back is None else np.asarray(back, np.float64), scores))


def test_streams_that_disagree_give_no_label_unless_one_is_unsure():
    boxes = np.stack([truth(k) for k in range(12)])
    moved = boxes.copy()
    moved[4:6] += [60, 0, 0, 0]
    kept = merge([pair_of(boxes), pair_of(moved)], Rules())[1]
    assert kept.nonzero()[0].tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    unsure = pair_of(moved, score=0.3)
    labelled, kept = merge([pair_of(boxes), unsure], Rules())
    assert kept.all() and labelled[4].tolist() == boxes[4].tolist()
    assert not merge([pair_of(boxes), unsure], Rules(alone=False))[1][4]
    span = choose_span([pair_of(boxes), pair_of(moved)], [draw([truth(0)])] * 2, Rules(least_frames=10))
    assert span.boxes[4].tolist() == [0, 0, 0, 0] and span.boxes[3].tolist() == boxes[3].tolist()


def test_why_a_target_is_dropped():
    moving, still = np.stack([truth(k) for k in range(12)]), np.stack([truth(0)] * 12)
    rules = Rules(least_frames=10)

    def outcome(pair, image=None, rules=rules):
        return choose_span([pair], [draw([]) if image is None else image], rules)

    assert outcome(pair_of(still)) == "neither moves nor is warm"
    assert isinstance(outcome(pair_of(still), draw([truth(0)])), Span)
    assert outcome(pair_of(moving)) == "does not stand out"
    assert choose_span([pair_of(still)], [draw([])], rules, infrared=False) == "does not move"
    seen = draw([truth(0)])
    assert outcome(pair_of(moving, back=moving + [30, 0, 0, 0])) == "does not return"
    assert outcome(pair_of(moving), seen, Rules(least_frames=20)) == "short"
    half = moving + np.where(np.isin(np.arange(12), (3, 5, 7, 9))[:, None], [30, 0, 0, 0], 0)
    assert outcome(pair_of(moving, back=half), seen) == "does not agree"


def test_of_two_spans_of_one_thing_the_surer_one_stays():
    boxes = np.stack([truth(k) for k in range(12)])
    weak, strong, later = Span(0, boxes, 0.7), Span(2, boxes[2:], 0.9), Span(40, boxes, 0.8)
    assert drop_copies([weak, strong, later]) == [strong, later]


def test_where_many_things_move_some_are_drawn_by_the_seed():
    window = [[draw([truth(frame, row) for row in (2, 48, 94)])] for frame in range(12)]
    drawn = []
    for seed in (0, 0, 1, 2, 3):
        search = Search(1, 12, 12, 1, seed, SEARCH.rules)
        found = find_spans(Brightest(), Drawn(window), search, lambda done: None)
        assert found.dropped == Counter({"too many": 2, "twice": 0}) and len(found.spans) == 1
        drawn.append(found.spans[0].boxes[0, 1])
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1


class Drawn(Frames):
    """Frames in memory."""

    modalities = ("infrared",)

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]

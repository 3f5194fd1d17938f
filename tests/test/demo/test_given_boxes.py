"""Boxes that a person gives in a file."""

import numpy as np
import pytest

from lib.core.errors import InputError
from lib.test.demo.boxes import MOST_TARGETS, check_within, read_given_boxes
from lib.test.demo.video_run import TrackRow, VideoResult


def given(tmp_path, text):
    (tmp_path / "boxes.txt").write_text(text)
    return {
        frame: {target: box.tolist() for target, box in boxes.items()}
        for frame, boxes in read_given_boxes(tmp_path / "boxes.txt").items()
    }


def test_three_kinds_of_line(tmp_path):
    text = "10,20,30,40  # first\n11 21 31 41\n\n# later\n5\t1\t2\t3\t4\n7, 2, 5, 6, 7.5, 8\n"
    assert given(tmp_path, text) == {
        0: {1: [10, 20, 30, 40], 2: [11, 21, 31, 41]},
        4: {1: [1, 2, 3, 4]},
        6: {2: [5, 6, 7.5, 8]},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no boxes"),
        ("# nothing", "no boxes"),
        ("1,2,3", r"line 1: expected \[frame \[target\]\] x y w h"),
        ("1 2 3 4\n0 1 2 3 4", "line 2: expected"),
        ("1 2 3 0", "line 1: expected"),
        ("1 2 3 nan", "line 1: expected"),
        ("1.5 1 2 3 4", "line 1: expected"),
        ("1 1 1 1 2 3 4", "line 1: expected"),
        ("person 1 2 3 4", "line 1: expected .* got 'person 1 2 3 4'"),
        ("3 1 1 2 3 4\n3 1 5 6 7 8", "line 2: target 1 has a box in frame 3 already"),
        ("1 2 3 4\n" * (MOST_TARGETS + 1), "more than 50 targets"),
    ],
)
def test_anything_else_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        given(tmp_path, text)
    assert "boxes.txt" in str(error.value) and "\n" not in str(error.value)


def test_boxes_are_pixels_of_any_precision(tmp_path):
    (tmp_path / "boxes.txt").write_text("1.25 2 3 4")
    np.testing.assert_array_equal(read_given_boxes(tmp_path / "boxes.txt")[0][1], [1.25, 2, 3, 4])


def test_boxes_beyond_the_end_are_named(caplog):
    box = np.ones(4)
    check_within({0: {1: box}, 8: {1: box}}, 9, "walk")
    assert not caplog.text
    check_within({0: {1: box}, 9: {1: box}, 20: {2: box, 3: box}}, 9, "walk")
    assert [record.getMessage() for record in caplog.records] == [
        f"walk: 9 frames are tracked; the box of target {target} in frame {frame} is not used"
        for target, frame in ((1, 10), (2, 21), (3, 21))
    ]
    with pytest.raises(InputError, match="walk: 9 frames are tracked, but the first box is for frame 10; frames count"):
        check_within({9: {1: box}, 11: {1: box}}, 9, "walk")


def test_frames_before_the_first_box_do_not_count_as_tracked():
    rows = [TrackRow(frame, target, np.ones(4), 1.0, False, False) for frame in (3, 4) for target in (1, 2)]
    assert VideoResult(rows, np.array([9.0, 9.0, 0.25, 0.25]), 20.0, {}, []).speed == 4
    assert np.isnan(VideoResult([], np.ones(2), 2.0, {}, []).speed)

"""Which images of two streams and which rows belong together when some are missing."""

import logging
from pathlib import Path

import numpy as np
import pytest
from trees import put_images

from lib.core.errors import InputError
from lib.datasets.layout import ImageList, make_sequence
from lib.datasets.readers.folder import read_folder
from lib.datasets.readers.vtuav import read_short_term_training
from lib.datasets.sequence import INFRARED, VISIBLE
from lib.test.video.pairing import open_frames, open_sequence

ALL = range(1, 11)


def without(*missing, numbers=ALL):
    return [number for number in numbers if number not in missing]


def listed(numbers, letter):
    return ImageList(Path(letter), tuple(f"{letter}{number:04d}.png" for number in numbers))


def match(visible, infrared, rows):
    """The numbers of the paired images and of their rows: [(visible, infrared, row from 1), …]."""
    boxes = np.stack([np.arange(1, rows + 1)] * 4, 1).astype(float)
    images = {VISIBLE: listed(visible, "v")} | ({INFRARED: listed(infrared, "i")} if infrared else {})
    sequence = make_sequence("walk", images, boxes)
    numbers = [[int(path.stem[1:]) for path in paths] for paths in sequence.frames.paths]
    return list(zip(*numbers, sequence.boxes[:, 0].astype(int).tolist(), strict=rows > 1))


def same(numbers):
    return [(number, number, number) for number in numbers]


@pytest.mark.parametrize(
    ("visible", "infrared", "rows", "expected", "said"),
    [
        (ALL, ALL, 10, same(ALL), ""),
        (without(8), without(3), 10, same(without(3, 8)), "visible lacks 8, infrared lacks 3; only the 8 frames"),
        (ALL, without(3), 10, same(without(3)), "infrared lacks 3; only the 9 frames"),
        (ALL, range(3, 11), 10, same(range(3, 11)), "infrared lacks 1 and 2"),
        (without(8), without(8), 10, same(without(8)), "visible lacks 8, infrared lacks 8"),
        (without(8), without(8), 9, [(n, n, n - (n > 8)) for n in without(8)], ""),
        (without(8), ALL, 9, [(n, n, n - (n > 8)) for n in without(8)], "visible lacks 8"),
        (without(8), without(3), 8, [(n, n, k) for k, n in enumerate(without(3, 8), 1)], "visible lacks 8"),
        (ALL, range(3, 13), 10, [(n, n + 2, n) for n in ALL], "visible is numbered 1 to 10, infrared 3 to 12; the two"),
        (ALL, range(1, 9), 10, same(range(1, 9)), "10 visible images, 8 infrared images, 10 boxes; only the first 8"),
        (range(0, 100, 10), without(30, numbers=range(0, 100, 10)), 10, None, "infrared lacks 30"),
        (range(10**9, 10**9 + 300, 100), range(10**9 + 40, 10**9 + 340, 100), 3, None, "paired in order"),
    ],
)
def test_pairs_and_rows(visible, infrared, rows, expected, said, caplog):
    with caplog.at_level(logging.WARNING):
        found = match(visible, infrared, rows)
    assert expected is None or found == expected
    assert len(caplog.records) == bool(said) and said in caplog.text


def test_rows_of_a_visible_set_follow_the_numbers():
    assert match(without(8), None, 10) == [(n, n) for n in without(8)]
    assert match(without(1), None, 10) == [(n, n) for n in without(1)]
    assert match(without(10), None, 10) == [(n, n) for n in without(10)]


@pytest.mark.parametrize(
    ("visible", "infrared", "rows", "message"),
    [
        (ALL, range(101, 109), 10, "infrared 101 to 108; 0 numbers are in both"),
        (without(8), without(8), 8, "8 boxes; visible lacks 8, infrared lacks 8; it is not clear which rows"),
        (ALL, range(3, 11), 1, "the only box belongs to frame 1, which is not in both streams"),
    ],
)
def test_what_is_not_clear_is_refused(visible, infrared, rows, message):
    with pytest.raises(InputError, match=message):
        match(visible, infrared, rows)


def test_first_box_of_a_missing_image(caplog):
    boxes = np.array([[1, 1, 5, 5], [0, 0, 0, 0], [3, 3, 5, 5]], float)
    with pytest.raises(InputError, match="infrared lacks 1; .*the first of them has no box"):
        make_sequence("walk", {VISIBLE: listed([1, 2, 3], "v"), INFRARED: listed([2, 3], "i")}, boxes)


@pytest.fixture
def gaps(tmp_path):
    """A sequence whose visible stream lacks frame 3 and whose infrared stream lacks frame 2."""
    for stream, numbers in ((VISIBLE, [1, 2, 4, 5]), (INFRARED, [1, 3, 4, 5])):
        put_images(tmp_path / "walk" / stream, [f"{number:02d}.png" for number in numbers])
    return tmp_path / "walk"


def test_tools_pair_alike(gaps, caplog):
    (gaps / "init.txt").write_text("".join(f"{row},1,2,3\n" for row in range(1, 6)))
    sequence = read_folder(gaps)[0]
    assert sequence.boxes[:, 0].tolist() == [1, 4, 5]
    (gaps / "init.txt").unlink()
    shown = [[int(image[0, 0, 0]) for image in images] for images in sequence.frames]
    for frames in (open_sequence(gaps).frames, open_frames(gaps / VISIBLE, gaps / INFRARED)):
        caplog.clear()
        assert [[int(image[0, 0, 0]) for image in images] for images in frames] == shown == [[0, 0], [20, 20], [30, 30]]
    assert caplog.text.count("visible lacks 3, infrared lacks 2") == 0
    with caplog.at_level(logging.WARNING):
        open_frames(gaps / VISIBLE, gaps / INFRARED)
    assert caplog.text.count("visible lacks 3, infrared lacks 2") == 1


def test_sparse_rows_keep_their_images(tmp_path):
    folder = tmp_path / "train_ST_001" / "walk"
    put_images(folder / "rgb", [f"{number:06d}.png" for number in range(25) if number != 4])
    put_images(folder / "ir", [f"{number:06d}.png" for number in range(25) if number not in (10, 12)])
    for name in ("rgb.txt", "ir.txt"):
        (folder / name).write_text("0 1 5 5\n10 1 5 5\n20 1 5 5\n")
    (sequence,) = read_short_term_training(tmp_path)
    assert len(sequence) == 22 and sequence.boxes[:, 0].tolist() == [0, 20]
    assert [sequence.frames.paths[0][k].stem for k in sequence.annotated] == ["000000", "000020"]


def stamped(moments, letter, folder=""):
    """Images named by times: seconds since 1970 with two decimals."""
    return ImageList(Path(folder or letter), tuple(f"{letter}_{1689857632 + moment:.2f}.png" for moment in moments))


TENTHS = np.arange(10) / 10


@pytest.mark.parametrize(
    ("infrared", "rows", "expected", "said"),
    [
        # every third frame of a slower camera; boxes of the visible images
        (np.arange(4) * 0.3 + 0.04, 10,
         [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 2), (8, 3), (9, 3)],
         "each visible one gets the infrared one nearest in time, at most 0.14 s"),
        # as many images, of which the infrared ones lack a stretch: not in order
        (np.r_[0:3, 6:13] / 10 + 0.02, 10,
         [(0, 0), (1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (8, 5), (9, 6)], "nearest in time"),
        # the second camera begins late; boxes of the infrared images
        (np.arange(6) / 10 + 0.42, 6, [(4, 0), (5, 1), (6, 2), (7, 3), (8, 4), (9, 5)],
         "4 of 10 visible images have none and are left out"),
        (np.arange(7) / 10 + 0.01, 1, [(k, k) for k in range(7)], "3 of 10 visible images have none"),
    ],
)  # fmt: skip
def test_images_named_by_times_of_two_clocks_are_paired_by_time(infrared, rows, expected, said, caplog):
    boxes = np.stack([np.arange(rows)] * 3 + [np.ones(rows)], 1).astype(float) + 1
    with caplog.at_level(logging.WARNING):
        sequence = make_sequence("walk", {VISIBLE: stamped(TENTHS, "v"), INFRARED: stamped(infrared, "i")}, boxes)
    names = {"v": list(stamped(TENTHS, "v").names), "i": list(stamped(infrared, "i").names)}
    found = [
        tuple(names[path.name[0]].index(path.name) for path in pair)
        for pair in zip(*sequence.frames.paths, strict=True)
    ]
    assert found == expected and len(caplog.records) == 1 and said in caplog.text
    own = [pair[0] if rows == len(TENTHS) else pair[1] for pair in expected]
    assert sequence.boxes[:, 0].tolist() == [1 + row for row in own][: len(sequence.boxes)]


def test_frame_numbers_beside_the_times_decide(tmp_path, caplog):
    """The infrared stream lacks frame 2; nearest in time, its frame 1 would stand in for it."""
    numbers = {VISIBLE: range(6), INFRARED: without(2, numbers=range(6))}
    for stream, lag in ((VISIBLE, 0), (INFRARED, 7)):
        names = [f"frame_{k:03d}_{1689857632000 + 33 * k + lag}.png" for k in numbers[stream]]
        put_images(tmp_path / "walk" / stream, names)
    (tmp_path / "walk" / "init.txt").write_text("".join(f"{k + 1},2,3,4\n" for k in range(6)))
    (sequence,) = read_folder(tmp_path)
    assert sequence.boxes[:, 0].tolist() == [1, 2, 4, 5, 6] and "infrared lacks 2" in caplog.text
    demo = open_frames(tmp_path / "walk" / VISIBLE, tmp_path / "walk" / INFRARED)
    shown = [[[int(image[0, 0, 0]) for image in images] for images in frames] for frames in (sequence.frames, demo)]
    assert shown[0] == shown[1] == [[0, 0], [10, 10], [30, 20], [40, 30], [50, 40]]


def test_rows_that_belong_to_no_stream_of_times_are_refused():
    images = {VISIBLE: stamped(TENTHS, "v"), INFRARED: stamped(np.arange(4) * 0.3 + 0.04, "i")}
    with pytest.raises(InputError, match="7 boxes belong to neither the 10 visible nor the 4 infrared images; write"):
        make_sequence("walk", images, np.ones((7, 4)))
    late = {VISIBLE: stamped(TENTHS, "v"), INFRARED: stamped(np.arange(4) * 0.3 + 0.44, "i")}
    with pytest.raises(InputError, match="the first visible image none; the only box belongs to it"):
        make_sequence("walk", late, np.ones((1, 4)))


def test_evaluation_and_demo_pair_times_alike(tmp_path):
    for stream, moments in ((VISIBLE, TENTHS), (INFRARED, np.arange(4) * 0.3 + 0.04)):
        put_images(tmp_path / "walk" / stream, stamped(moments, stream[0]).names)
    (tmp_path / "walk" / "init.txt").write_text("1,2,3,4\n" * 10)
    (sequence,) = read_folder(tmp_path)
    demo = open_frames(tmp_path / "walk" / VISIBLE, tmp_path / "walk" / INFRARED)
    shown = [[[int(image[0, 0, 0]) for image in images] for images in frames] for frames in (sequence.frames, demo)]
    assert shown[0] == shown[1] and len(shown[0]) == 10 and len({infrared for _, infrared in shown[0]}) == 4

"""Folders of the two streams under other names, infrared that is missing, and streams that are not what they seem."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from fake_model import moving_sequence
from trees import ROWS, put_images

from lib.core.errors import InputError
from lib.core.frame import GREY_COPY, NO_INFRARED, Streams
from lib.datasets.readers.folder import read_folder
from lib.datasets.sequence import INFRARED, VISIBLE
from lib.datasets.streams import doubt_streams
from lib.test.evaluation.sequences import named_sequences
from lib.test.video.pairing import open_frames, open_halves, open_sequence
from lib.test.video.video import write_image


def put_streams(folder, *names):
    for name in names:
        put_images(folder / name, ["1.png", "2.png", "3.png"])
    (folder / "init.txt").write_text(ROWS)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        (VISIBLE, INFRARED),
        (VISIBLE, "Infrared"),
        (VISIBLE, "thermal"),
        ("RGB", "IR"),
        ("img", "ir"),
        ("Visible", "TIR"),
        ("color", "lwir"),
    ],
)
def test_names_of_the_two_folders(tmp_path, names, caplog):
    folder = put_streams(tmp_path / "walk", *names)
    with caplog.at_level(logging.WARNING):
        frames = read_folder(tmp_path)[0].frames
        (folder / "init.txt").unlink()
        bare = open_sequence(folder).frames
    assert frames.modalities == bare.modalities == (VISIBLE, INFRARED)
    assert [paths[0].parent.name for paths in frames.paths] == list(names)
    assert not caplog.records


def test_folder_that_is_not_read_is_named_once(tmp_path, caplog):
    for name in ("run", "walk"):
        put_streams(tmp_path / name, VISIBLE, "depth")
    (tmp_path / "walk" / "masks").mkdir()
    with caplog.at_level(logging.WARNING):
        assert read_folder(tmp_path)[0].frames.modalities == (VISIBLE,)
    (line,) = caplog.messages
    assert "run/depth and 1 more: holds images, which are not read" in line


def test_what_archives_of_macos_add_is_no_sequence(tmp_path, caplog):
    put_streams(tmp_path / "walk", VISIBLE, INFRARED)
    put_streams(tmp_path / "__MACOSX", VISIBLE, INFRARED)
    put_streams(tmp_path / "__MACOSX" / "walk", VISIBLE, INFRARED)
    assert [sequence.name for sequence in read_folder(tmp_path)] == ["walk"]


def test_folders_of_sequences_are_no_streams(tmp_path):
    for camera in ("rgb", "thermal"):
        put_images(tmp_path / camera / "walk" / "img", ["1.png", "2.png", "3.png"])
    (tmp_path / "rgb" / "walk" / "groundtruth.txt").write_text(ROWS)
    assert [sequence.name for sequence in read_folder(tmp_path)] == ["walk"]


def test_grey_copy_is_said_once(tmp_path, caplog):
    for name in ("run", "walk"):
        put_streams(tmp_path / name, VISIBLE)
    put_streams(tmp_path / "pair", VISIBLE, INFRARED)

    def names(modalities, wanted=None):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            named_sequences("folder", str(tmp_path), wanted, dict, Streams(modalities))
        return caplog.messages

    assert names(2) == [f"run, in 2 of 3 sequences: {NO_INFRARED[GREY_COPY]}"]
    assert names(2, "pair") == names(1) == []


@pytest.fixture(scope="module")
def pair():
    """A visible and an infrared image."""
    rng = np.random.default_rng(0)
    infrared = np.repeat(rng.integers(0, 255, (48, 64, 1), np.uint8), 3, 2)
    return rng.integers(0, 255, (48, 64, 3), np.uint8), infrared


def test_doubts(pair):
    visible, infrared = pair
    night = np.repeat(visible[..., :1], 3, 2)
    palette = visible[::-1].copy()
    assert doubt_streams(visible, infrared) == doubt_streams(night, infrared) == doubt_streams(visible, palette) == ""
    assert "are the two swapped" in doubt_streams(infrared, visible)
    assert "is one recording given twice" in doubt_streams(visible, visible.copy())
    assert "is one recording given twice" in doubt_streams(infrared, infrared)
    assert doubt_streams(np.zeros_like(visible), np.zeros_like(visible)) == ""  # a covered lens, a title


def test_tools_say_what_they_doubt(tmp_path, caplog, pair):
    for name, image in zip("vi", pair, strict=True):
        for number in (1, 2):
            write_image(tmp_path / name / f"{number}.png", image)
    write_image(tmp_path / "both" / "1.png", np.concatenate(pair[::-1], axis=1))
    put_streams(tmp_path / "walk", "depth")
    for stream, image in ((VISIBLE, pair[1]), (INFRARED, pair[0])):
        write_image(tmp_path / "walk" / stream / "1.png", image)

    def said(open_them, *arguments):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="lib.test.video"):
            open_them(*arguments)
        return [message for message in caplog.messages if message.endswith("?")]

    assert (
        said(open_frames, tmp_path / "v", tmp_path / "i") == said(open_halves, tmp_path / "both", "visible-right") == []
    )
    assert said(open_frames, tmp_path / "i", tmp_path / "v")[0].endswith("are the two swapped?")
    assert said(open_frames, tmp_path / "v", tmp_path / "v")[0].endswith("is one recording given twice?")
    assert said(open_halves, tmp_path / "both", "visible-left")[0].endswith("are the two swapped?")
    assert said(open_sequence, tmp_path / "walk")[0].endswith("are the two swapped?")
    with pytest.raises(InputError):
        open_sequence(tmp_path / "nowhere")


def test_demo_sequence_is_not_doubted():
    visible, infrared = open_sequence("docs/demo_sequence").frames[0]
    assert doubt_streams(visible, infrared) == ""
    assert doubt_streams(*moving_sequence("", length=1).frames[0]) == ""


def test_first_box_of_each_image_for_trackers_that_take_one():
    sequence, box = moving_sequence("s"), np.array([7.0, 8, 20, 10])
    own, both = Streams(own_boxes=True), replace(sequence, boxes_infrared=sequence.boxes + 1)
    assert both.first_box(Streams()).tolist() == sequence.first_box(own).tolist() == sequence.boxes[0].tolist()
    assert both.first_box(own).tolist() == [sequence.boxes[0].tolist(), (sequence.boxes[0] + 1).tolist()]
    without_area = replace(sequence, boxes_infrared=np.array([[*box[:2], 0, 0]]))
    assert without_area.first_box(own).tolist() == sequence.boxes[0].tolist()

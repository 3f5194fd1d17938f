"""Readers: numbers, image lists, LasHeR."""

import logging

import numpy as np
import pytest
from trees import ROWS, put_images, put_pair

from lib.core.errors import InputError
from lib.datasets.annotation import read_boxes, read_flags
from lib.datasets.layout import list_images
from lib.datasets.readers.lasher import ATTRIBUTES, read_testing, read_training
from lib.datasets.sequence import INFRARED, VISIBLE


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4\n5,6,7,8\n",
        "1,2,3,4\r\n5,6,7,8\r\n\r\n\n",
        "1\t2\t3\t4\n5\t6\t7\t8",
        "1 2  3 4\n 5 6 7 8 \n",
        "1, 2, 3, 4\n5 ,6 ,7 ,8\n",
        "\ufeff1,2,3,4\n5,6,7,8\n",
        "1,2,3,4\r5,6,7,8\r",
        "1,2 3,4\n5,6,7,8\n",
    ],
)
def test_separators_and_line_ends(tmp_path, text):
    path = tmp_path / "boxes.txt"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(read_boxes(path), [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_nan_is_a_number(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("1,2,3,4\nNaN,nan,NaN,NaN\n")
    assert np.isnan(read_boxes(path)[1]).all()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1,2,3,4\nrubbish\n", 2),
        ("1,2,3,4\n1,2,3\n", 2),
        ("1,2,3,4,5\n1,2,3\n", 1),
        ("1,2,3,4\n\n1,2,3,4\n", 2),
        ("1,2,3,4\n1,,3,4,5\n", 2),
        ("1,2,3,4\n1,2,3,4,\n", 2),
        ("1,2,3,4\n1,2,inf,4\n", 2),
    ],
)
def test_rubbish_is_named_by_file_and_line(tmp_path, text, line):
    path = tmp_path / "boxes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"boxes\.txt: line {line}: expected 4 numbers") as error:
        read_boxes(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "word"), [(b"", "empty"), (b"\n\r\n", "empty"), (b"\xff\xfe1\x00", "UTF-8")])
def test_unusable_files(tmp_path, content, word):
    (tmp_path / "boxes.txt").write_bytes(content)
    with pytest.raises(InputError, match=word):
        read_boxes(tmp_path / "boxes.txt")
    with pytest.raises(InputError, match="does not exist"):
        read_boxes(tmp_path / "other.txt")


def test_flags_in_one_line_or_many(tmp_path):
    (tmp_path / "line.txt").write_text("0,1,0")
    (tmp_path / "lines.txt").write_text("0\r\n1\r\n0\r\n")
    (tmp_path / "wrong.txt").write_text("0,2")
    assert read_flags(tmp_path / "line.txt").tolist() == read_flags(tmp_path / "lines.txt").tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="'2'"):
        read_flags(tmp_path / "wrong.txt")


def test_images_follow_the_last_number_of_their_names(tmp_path):
    names = ["9v.png", "10v.PNG", "s2_00011.jpeg", "100.bmp"]
    put_images(tmp_path / "a", names)
    (tmp_path / "a" / "._9v.png").write_bytes(b"")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"")
    assert [path.name for path in list_images(tmp_path / "a")] == names


@pytest.mark.parametrize(
    ("names", "word"), [([], "no images"), (["cover.png"], "no frame number"), (["1.png", "01.jpg"], "both frame 1")]
)
def test_image_folders_that_have_no_order(tmp_path, names, word):
    put_images(tmp_path / "a", names)
    with pytest.raises(InputError, match=word):
        list_images(tmp_path / "a")


@pytest.mark.parametrize("place", ["testingset", "test/testingset", "TestingSet/testingset"])
def test_lasher_layouts_names_and_list(tmp_path, place):
    names = ["leftgirl'swhitebag", "blkboy`shead", "ab-walk 2"]
    for name in names:
        put_pair(tmp_path / place / name, rows=ROWS.replace("\n", "\r\n"))
    put_pair(tmp_path / place / "unlisted")
    (tmp_path / "testingsetList.txt").write_bytes("\r\n".join([*names, ""]).encode())
    sequences = read_testing(tmp_path)
    assert [sequence.name for sequence in sequences] == names
    assert sequences[0].frames.modalities == (VISIBLE, INFRARED)
    np.testing.assert_array_equal(sequences[0].boxes[:, 0], [10, 11, 12])
    visible, infrared = sequences[1].frames[2]
    assert visible.mean() == infrared.mean() == 20


def test_lasher_without_list_takes_what_is_there(tmp_path, caplog):
    put_pair(tmp_path / "trainingset" / "b")
    put_pair(tmp_path / "trainingset" / "a")
    (tmp_path / "trainingset" / "notes").mkdir()
    assert [sequence.name for sequence in read_training(tmp_path)] == ["a", "b"]
    assert "979" in caplog.text
    with pytest.raises(InputError, match="no LasHeR testing set"):
        read_testing(tmp_path)


def test_lasher_in_one_folder_needs_the_list(tmp_path):
    put_pair(tmp_path / "a")
    with pytest.raises(InputError, match="no LasHeR training set"):
        read_training(tmp_path)
    (tmp_path / "trainingsetList.txt").write_text("a\n")
    assert [sequence.name for sequence in read_training(tmp_path)] == ["a"]


def test_lasher_missing_sequence_is_named(tmp_path):
    put_pair(tmp_path / "testingset" / "a")
    (tmp_path / "testingset" / "testingsetList.txt").write_text("a\ngone'one\n")
    with pytest.raises(InputError, match="gone'one: sequence of .*testingsetList.txt is missing"):
        read_testing(tmp_path)


@pytest.mark.parametrize("there", [("visible.txt", "init.txt"), ("init.txt", "infrared.txt"), ("infrared.txt",)])
def test_lasher_annotation_falls_back(tmp_path, there):
    put_pair(tmp_path / "testingset" / "a", annotations=there[1:], rows=ROWS.replace("1", "7"))
    (tmp_path / "testingset" / "a" / there[0]).write_text(ROWS)
    assert read_testing(tmp_path)[0].boxes[0].tolist() == [10, 20, 30, 40]


def test_lasher_without_annotation(tmp_path):
    put_pair(tmp_path / "testingset" / "a", annotations=())
    with pytest.raises(InputError, match="a: no annotation; looked for visible.txt, init.txt, infrared.txt"):
        read_testing(tmp_path)


def test_lasher_attributes(tmp_path):
    put_pair(tmp_path / "testingset" / "a")
    (tmp_path / "AttriSeqsTxt").mkdir()
    path = tmp_path / "AttriSeqsTxt" / "a.txt"
    path.write_text("0,1," + ",".join(["0"] * 16) + ",1")
    attributes = read_testing(tmp_path)[0].attributes
    assert list(attributes) == list(ATTRIBUTES) and len(attributes) == 19
    assert [name for name, flag in attributes.items() if flag] == ["PO", "ARC"]
    path.write_text("0,1")
    with pytest.raises(InputError, match="expected 19 flags, got 2"):
        read_testing(tmp_path)


def test_absent_targets_are_kept_but_not_as_a_start(tmp_path):
    put_pair(tmp_path / "testingset" / "a", rows="10,20,30,40\n0,0,0,0\n5,5,0,3\n")
    assert read_testing(tmp_path)[0].valid.tolist() == [True, False, False]
    (tmp_path / "testingset" / "a" / "visible.txt").write_text("0,0,0,0\n1,1,2,2\n1,1,2,2\n")
    with pytest.raises(InputError, match="visible.txt: line 1: first box 0,0,0,0 has no area"):
        read_testing(tmp_path)


def test_fractions_of_the_image_are_no_boxes(tmp_path):
    put_pair(tmp_path / "testingset" / "a", rows="0.5,0.4,0.1,0.2\n0.6,0.4,0.1,0.2\nnan,nan,nan,nan\n")
    with pytest.raises(
        InputError, match="visible.txt: no number is above 1, as in fractions of the image; write x y w h"
    ):
        read_testing(tmp_path)


def test_lengths_that_differ_are_cut_with_one_warning(tmp_path, caplog):
    put_pair(tmp_path / "testingset" / "a", frames=3, rows=ROWS * 2)
    put_images(tmp_path / "more", ["i9.png"])
    (tmp_path / "more" / "i9.png").rename(tmp_path / "testingset" / "a" / "infrared" / "i9.png")
    (tmp_path / "testingset" / "testingsetList.txt").write_text("a")
    with caplog.at_level(logging.WARNING, logger="lib.datasets.layout"):
        sequence = read_testing(tmp_path)[0]
    assert len(sequence) == len(sequence.boxes) == 3
    warned = [record.getMessage() for record in caplog.records if "only the first" in record.getMessage()]
    assert warned == ["a: 3 visible images, 4 infrared images, 6 boxes; only the first 3 frames are used"]

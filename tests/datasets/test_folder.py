"""Any folder of sequences: layouts, annotations that are missing or differ, names."""

import pickle

import pytest
from trees import ROWS, put_images, put_pair

from lib.core.errors import InputError
from lib.datasets.readers.folder import read_folder
from lib.datasets.sequence import INFRARED, VISIBLE


def test_folder_of_all_layouts(tmp_path):
    put_pair(tmp_path / "pair", annotations=("visible.txt", "infrared.txt"))
    put_images(tmp_path / "otb" / "img", ["0001.jpg", "0002.jpg", "0003.jpg"])
    (tmp_path / "otb" / "groundtruth_rect.txt").write_text(ROWS.replace(",", "\t"))
    put_images(tmp_path / "bike" / "bike-1" / "img", ["1.jpg", "2.jpg", "3.jpg"])
    for name, text in (("groundtruth", ROWS), ("full_occlusion", "0,1,0"), ("out_of_view", "0,0,1")):
        (tmp_path / "bike" / "bike-1" / f"{name}.txt").write_text(text)
    put_images(tmp_path / "got", ["1.jpg", "2.jpg", "3.jpg"])
    (tmp_path / "got" / "groundtruth.txt").write_text("1,2,3,4\n")
    sequences = {sequence.name: sequence for sequence in read_folder(tmp_path)}
    assert list(sequences) == ["bike-1", "got", "otb", "pair"]
    assert [sequences[name].frames.modalities for name in ("pair", "otb")] == [(VISIBLE, INFRARED), (VISIBLE,)]
    assert sequences["bike-1"].visible_share.tolist() == [1, 0, 0]
    assert sequences["pair"].boxes_infrared is None  # both files are equal
    assert (len(sequences["got"]), len(sequences["got"].boxes)) == (3, 1)


def test_folder_is_one_sequence(tmp_path, monkeypatch):
    put_pair(tmp_path / "walk")
    monkeypatch.chdir(tmp_path / "walk")
    assert [sequence.name for sequence in read_folder(".")] == ["walk"]


def test_both_annotations_are_kept_where_they_differ(tmp_path):
    put_pair(tmp_path / "walk", annotations=("visible.txt",))
    (tmp_path / "walk" / "infrared.txt").write_text(ROWS.replace("10", "14"))
    sequence = read_folder(tmp_path)[0]
    assert (sequence.boxes[0, 0], sequence.boxes_infrared[0, 0]) == (10, 14)


def test_folder_leaves_out_what_has_no_annotation(tmp_path, caplog):
    put_pair(tmp_path / "walk")
    put_images(tmp_path / "bare" / "img", ["1.jpg"])
    assert [sequence.name for sequence in read_folder(tmp_path)] == ["walk"]
    assert "bare: left out, no annotation" in caplog.text
    with pytest.raises(InputError, match="no sequences"):
        read_folder(tmp_path / "bare")


def test_folder_rejects_equal_names_and_missing_folders(tmp_path):
    put_pair(tmp_path / "x" / "walk")
    put_pair(tmp_path / "y" / "walk")
    with pytest.raises(InputError, match="two sequences are called 'walk'"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_folder(tmp_path / "z")


def test_sequences_travel_to_workers(tmp_path):
    put_pair(tmp_path / "walk")
    sequence = pickle.loads(pickle.dumps(read_folder(tmp_path)[0]))
    assert sequence.frames[1][0].mean() == 10


def test_unreadable_frame_is_named(tmp_path):
    put_pair(tmp_path / "walk")
    sequence = read_folder(tmp_path)[0]
    (tmp_path / "walk" / "infrared" / "i0001.png").unlink()
    with pytest.raises(InputError, match="i0001.png: image does not exist"):
        sequence.frames[1]

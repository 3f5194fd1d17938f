"""Readers of the RGB-T sets, on small trees in each set's layout."""

import logging
from pathlib import Path

import numpy as np
import pytest
from trees import ROWS, put_images, put_pair

from lib.core.errors import InputError
from lib.datasets.readers import vtuav
from lib.datasets.readers.gtot import read_gtot
from lib.datasets.readers.lasher import read_unaligned_testing
from lib.datasets.readers.rgbt234 import read_rgbt210, read_rgbt234
from lib.datasets.readers.vot import polygons_to_boxes, read_rgbt2019
from lib.datasets.sequence import INFRARED, VISIBLE


def put_streams(folder: Path, streams: tuple[str, str], counts: tuple[int, int], pattern: str = "{:05d}.png") -> None:
    for stream, count in zip(streams, counts, strict=True):
        put_images(folder / stream, [pattern.format(index) for index in range(count)])


def put_gtot(folder: Path, visible: str = "10 20 40 60\n40 60 11 21\n", infrared: str = "12 20 40 60\n13 21 40 60\n"):
    put_streams(folder, ("v", "i"), (2, 2))
    (folder / "groundTruth_v.txt").write_text(visible)
    (folder / "groundTruth_i.txt").write_text(infrared)


def test_gtot_corners_become_sizes_in_any_order(tmp_path):
    put_gtot(tmp_path / "carNig")
    put_gtot(tmp_path / "BlackCar")
    first, second = read_gtot(tmp_path)
    assert (first.name, second.name) == ("BlackCar", "carNig")
    assert second.boxes.tolist() == [[10, 20, 30, 40], [11, 21, 29, 39]]
    assert second.boxes_infrared.tolist() == [[12, 20, 28, 40], [13, 21, 27, 39]]
    assert [image.mean() for image in second.frames[1]] == [10, 10]


def test_gtot_start_without_area(tmp_path):
    put_gtot(tmp_path / "a", visible="5 5 5 9\n5 5 9 9\n")
    with pytest.raises(InputError, match="groundTruth_v.txt: line 1: first box 5,5,0,4 has no area"):
        read_gtot(tmp_path)


def test_rgbt234_has_two_annotations_and_attributes_by_name(tmp_path, caplog):
    for name in ("baby", "aftertree"):
        put_pair(tmp_path / name, annotations=("visible.txt", "init.txt"))
        (tmp_path / name / "infrared.txt").write_text(ROWS.replace("10", "14").replace("\n", "\r\n"))
    (tmp_path / "attributes").mkdir()
    (tmp_path / "attributes" / "SequencesName.txt").write_text("baby\r\nelsewhere\r\naftertree\r\n\r\n")
    (tmp_path / "attributes" / "LI.txt").write_text("0\r\n1\r\n1\r\n")
    (tmp_path / "attributes" / "TC.txt").write_text("1\r\n0\r\n0\r\n")
    first, second = read_rgbt234(tmp_path)
    assert (first.name, first.attributes) == ("aftertree", {"LI": True, "TC": False})
    assert (second.name, second.attributes) == ("baby", {"LI": False, "TC": True})
    assert first.boxes[0].tolist() == [10, 20, 30, 40] and first.boxes_infrared[0].tolist() == [14, 20, 30, 40]
    assert "2 sequences, RGBT234 has 234" in caplog.text
    (tmp_path / "attributes" / "LI.txt").write_text("0\r\n1\r\n")
    with pytest.raises(InputError, match="LI.txt: 2 flags for 3 names"):
        read_rgbt234(tmp_path)


def test_rgbt210_takes_the_common_boxes(tmp_path):
    put_pair(tmp_path / "baby", annotations=("visible.txt",))
    (tmp_path / "baby" / "init.txt").write_text(ROWS.replace("10", "99"))
    sequence = read_rgbt210(tmp_path)[0]
    assert sequence.boxes[0, 0] == 99 and sequence.boxes_infrared is None


def test_lasher_unaligned_keeps_both_annotations(tmp_path):
    put_pair(tmp_path / "testingset" / "a")
    (tmp_path / "testingset" / "a" / "infrared.txt").write_text(ROWS.replace("10", "30"))
    sequence = read_unaligned_testing(tmp_path)[0]
    assert (sequence.boxes[0, 0], sequence.boxes_infrared[0, 0]) == (10, 30)


@pytest.fixture
def short_list(tmp_path, monkeypatch):
    """VTUAV with a test list of two sequences."""
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "vtuav_test_st.txt").write_text("test_ST_001/bus_001\ntest_ST_002/car_016\n")
    monkeypatch.setattr(vtuav, "SPLITS", tmp_path / "splits")
    return tmp_path / "vtuav"


def put_vtuav(folder: Path, frames: int, rows: int, first: int = 0) -> None:
    for stream in ("rgb", "ir"):
        put_images(folder / stream, [f"{first + index:06d}.png" for index in range(frames)])
        lines = "".join(f"{10 + row} 20 30 40\n" for row in range(rows))
        (folder / f"{stream}.txt").write_text(lines + ("\n" if stream == "ir" else ""))


def test_vtuav_rows_belong_to_every_tenth_frame_by_position(short_list):
    put_vtuav(short_list / "test_ST_001" / "bus_001", frames=21, rows=3)
    put_vtuav(short_list / "parts" / "test_ST_002" / "car_016", frames=25, rows=3, first=155)
    put_vtuav(short_list / "test_LT_001" / "car_016", frames=5, rows=1)
    first, second = vtuav.read_short_term(short_list)
    assert (first.name, len(first), first.annotated.tolist()) == ("bus_001", 21, [0, 10, 20])
    assert len(second) == 25 and second.annotated.tolist() == [0, 10, 20]
    assert second.frames.paths[0][10].name == "000165.png"
    assert second.boxes.shape == second.boxes_infrared.shape == (3, 4)


def test_vtuav_row_too_many_is_left_out_and_other_rates_are_refused(short_list):
    put_vtuav(short_list / "train_ST_001" / "a", frames=20, rows=3)
    assert vtuav.read_short_term_training(short_list)[0].annotated.tolist() == [0, 10]
    put_vtuav(short_list / "train_ST_001" / "b", frames=20, rows=20)
    with pytest.raises(InputError, match="b: 20 rows for 20 frames; expected 2"):
        vtuav.read_short_term_training(short_list)


def test_vtuav_missing_sequences_and_parts(short_list):
    put_vtuav(short_list / "test_ST_001" / "bus_001", frames=5, rows=1)
    with pytest.raises(InputError, match="1 of 2 sequences .* car_016.*vtuav_dir"):
        vtuav.read_short_term(short_list)
    with pytest.raises(InputError, match="train_LT_001/<sequence>/rgb.txt; set vtuav_dir"):
        vtuav.read_long_term_training(short_list)


def test_vtuav_lists_are_whole():
    lists = {part: (vtuav.SPLITS / f"vtuav_test_{part}.txt").read_text().split() for part in ("st", "lt")}
    assert {part: len({name.split("/")[1] for name in names}) for part, names in lists.items()} == {"st": 176, "lt": 74}


def test_polygons_become_boxes_of_their_area():
    turned = np.array([[10, 0, 20, 10, 10, 20, 0, 10], [0, 0, 8, 0, 8, 4, 0, 4], [3, 3, 3, 3, 3, 3, 3, 3]], float)
    boxes = polygons_to_boxes(turned)
    assert boxes[0, 2] * boxes[0, 3] == pytest.approx(200)
    assert boxes[0, :2] + boxes[0, 2:] / 2 == pytest.approx([10, 10])
    np.testing.assert_allclose(boxes[1:], [[0, 0, 8, 4], [3, 3, 0, 0]])


def test_vot_layout_polygons_list_and_properties(tmp_path):
    for name in ("b", "a", "unlisted"):
        put_streams(tmp_path / name, ("color", "ir"), (2, 2), "{:08d}.jpg")
        (tmp_path / name / "groundtruth.txt").write_text("0,0,8,0,8,4,0,4\n1,0,9,0,9,4,1,4\n")
    (tmp_path / "list.txt").write_text("b\na\n")
    assert [sequence.name for sequence in read_rgbt2019(tmp_path)] == ["b", "a"]
    (tmp_path / "a" / "groundtruth.txt").write_text("0,0,8,4\n1,0,8,4\n")
    (tmp_path / "a" / "color").rename(tmp_path / "a" / "left")
    (tmp_path / "a" / "sequence").write_text("channels.color=left/%08d.jpg\nchannels.ir=ir/%08d.jpg\n")
    sequence = read_rgbt2019(tmp_path)[1]
    assert sequence.boxes.tolist() == [[0, 0, 8, 4], [1, 0, 8, 4]]
    assert sequence.frames.modalities == (VISIBLE, INFRARED) and len(sequence.frames[1]) == 2
    (tmp_path / "list.txt").write_text("b\ngone\n")
    with pytest.raises(InputError, match="gone: sequence of .*list.txt is missing"):
        read_rgbt2019(tmp_path)


def test_folders_without_sequences_name_the_key(tmp_path):
    for read, key in ((read_gtot, "gtot_dir"), (read_rgbt234, "rgbt234_dir"), (read_rgbt2019, "vot19rgbt_dir")):
        with pytest.raises(InputError, match=f"no sequences here.*set {key}"):
            read(tmp_path)


def test_two_sequences_of_one_name_are_refused(tmp_path, caplog):
    put_pair(tmp_path / "a")
    put_pair(tmp_path / "more" / "a")
    with caplog.at_level(logging.ERROR), pytest.raises(InputError, match="have the same name"):
        read_rgbt234(tmp_path)

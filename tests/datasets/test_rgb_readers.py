"""Readers of the RGB sets, on small trees in each set's layout; the registry."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from trees import ROWS, put_images

from lib.core import paths
from lib.core.errors import InputError
from lib.core.registry import resolve
from lib.datasets import DATASETS, load_dataset, load_training_set
from lib.datasets.layout import NumberedImages
from lib.datasets.readers import coco, got10k, lasot, tabled, tnl2k, trackingnet

START = ROWS.split("\n")[0] + "\n"


def put_video(folder: Path, annotation: Path, names: list[str], rows: str = ROWS) -> None:
    put_images(folder, names)
    annotation.parent.mkdir(parents=True, exist_ok=True)
    annotation.write_text(rows)


def numbered(digits: int, count: int = 3, first: int = 1) -> list[str]:
    return [f"{first + index:0{digits}d}.jpg" for index in range(count)]


def test_every_reader_is_there_and_its_key_is_known():
    for entry in DATASETS.values():
        assert callable(resolve(entry.reader, "lib.datasets")) and entry.key in paths._DATA


@pytest.mark.parametrize("name", [name for name, entry in DATASETS.items() if entry.key != "photos_dir"])
def test_wrong_paths_name_the_key(tmp_path, name):
    key = DATASETS[name].key
    with pytest.raises(InputError, match=f"set {key}"):
        load_dataset(name, {})
    with pytest.raises(InputError, match=key):
        load_dataset(name.upper(), {key: str(tmp_path)})


def test_configurations_mean_the_training_part(tmp_path, monkeypatch):
    monkeypatch.setattr(lasot, "TEST_LIST", tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("cat-2\n")
    for index in range(1, 21):
        folder = tmp_path / "LaSOT" / "cat" / f"cat-{index}"
        put_video(folder / "img", folder / "groundtruth.txt", numbered(8))
    folders = {"lasot_dir": str(tmp_path / "LaSOT")}
    assert [sequence.name for sequence in load_dataset("LaSOT", folders)] == ["cat-2"]
    training = [sequence.name for sequence in load_training_set("LASOT", folders)]
    assert len(training) == 19 and "cat-2" not in training
    assert load_training_set("lasot_train", folders)[0].name == "cat-1"


def test_a_numbered_folder_that_is_cut_short_is_shortened_with_its_warning(tmp_path, monkeypatch, caplog):
    """Its images are not listed but numbered, and its last rows would name images that are not there."""
    monkeypatch.setattr(lasot, "TEST_LIST", tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("cat-1\n")
    folder, rows = tmp_path / "LaSOT" / "cat" / "cat-1", "".join(f"{row},2,30,40\n" for row in range(1, 6))
    put_video(folder / "img", folder / "groundtruth.txt", numbered(8), rows)
    (sequence,) = load_dataset("lasot", {"lasot_dir": str(tmp_path / "LaSOT")})
    assert len(sequence) == len(sequence.boxes) == 3 and all(path.is_file() for path in sequence.frames.paths[0])
    assert caplog.messages == ["cat-1: 3 visible images, 5 boxes; only the first 3 frames are used"]


def test_lasot_flags_of_one_line_and_a_surplus_image(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(lasot, "TEST_LIST", tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("cat-1")
    put_video(tmp_path / "cat-1" / "img", tmp_path / "cat-1" / "groundtruth.txt", numbered(8, 4))
    (tmp_path / "cat-1" / "full_occlusion.txt").write_text("0,1,0")
    (tmp_path / "cat-1" / "out_of_view.txt").write_text("0,0,1\n")
    sequence = lasot.read_testing(tmp_path)[0]
    assert len(sequence) == 3 and sequence.visible_share.tolist() == [1, 0, 0] and not caplog.text
    assert sequence.frames[2][0].mean() == pytest.approx(20, abs=1)
    with pytest.raises(InputError, match="150 of 150 sequences are missing.*lasot_extension_subset_dir"):
        lasot.read_extension(tmp_path)


def test_lasot_lists_are_whole():
    testing = lasot.read_lines(lasot.TEST_LIST)
    assert len(set(testing)) == 280 and len({name.rpartition("-")[0] for name in testing}) == 70
    assert all(1 <= int(name.rpartition("-")[2]) <= lasot.PER_CLASS for name in testing)


def put_got10k(root: Path, split: str, count: int, rows: str = ROWS) -> None:
    names = [f"GOT-10k_{split.title()}_{index + 1:06d}" for index in range(count)]
    for name in names:
        put_video(root / split / name, root / split / name / "groundtruth.txt", numbered(8), rows)
    (root / split / "list.txt").write_text("\n".join(names))


def test_got10k_flags_size_and_test_rows(tmp_path):
    put_got10k(tmp_path, "val", 1)
    put_got10k(tmp_path, "test", 1, START)
    folder = tmp_path / "val" / "GOT-10k_Val_000001"
    (folder / "cover.label").write_text("8\n4\n8\n")
    (folder / "absence.label").write_text("0\n0\n1\n")
    (folder / "meta_info.ini").write_text("[METAINFO]\nurl: https://x\nresolution: (1920, 1080)\n")
    sequence = got10k.read_validation(tmp_path)[0]
    assert sequence.visible_share.tolist() == [1, 0.5, 0] and sequence.size == (1920, 1080)
    start = got10k.read_testing(tmp_path)[0]
    assert (len(start), len(start.boxes)) == (3, 1)


def test_got10k_splits_are_the_familys(tmp_path):
    held_out = set(got10k._positions("got10k_val_positions.txt"))
    excluded = set(got10k._positions("got10k_vot_excluded_positions.txt"))
    assert (len(held_out), len(excluded), max(held_out | excluded) < 9335) == (1401, 1000, True)
    assert len(held_out - excluded) == 1249 and 9335 - len(held_out | excluded) == 7086
    put_got10k(tmp_path, "train", 16)
    assert len(got10k.read_training(tmp_path)) == 16
    training = {int(sequence.name[-6:]) - 1 for sequence in got10k.read_vot_training(tmp_path)}
    assert training == set(range(16)) - held_out - excluded and {4, 13, 15} & training == set()


def test_trackingnet_sorts_by_number(tmp_path):
    names = [f"{index}.jpg" for index in range(11)]
    put_video(tmp_path / "TEST" / "frames" / "vid_0", tmp_path / "TEST" / "anno" / "vid_0.txt", names, START)
    sequence = trackingnet.read_testing(tmp_path)[0]
    assert [path.name for path in sequence.frames.paths[0]] == names and len(sequence.boxes) == 1
    put_video(tmp_path / "TRAIN_3" / "frames" / "vid_1", tmp_path / "TRAIN_3" / "anno" / "vid_1.txt", names, ROWS)
    training = trackingnet.read_training(tmp_path)[0]
    assert [path.name for path in training.frames.paths[0]] == names[:3] and training.name == "vid_1"


def only(monkeypatch, *rows: tabled.Row) -> None:
    monkeypatch.setattr(tabled, "read_table", lambda name: list(rows))


def test_otb_ranges_second_targets_and_omitted_frames(tmp_path, monkeypatch):
    only(monkeypatch, tabled.Row("Jogging_2", "Jogging", 1, 3), tabled.Row("Tiger1", "Tiger1", 3, 5, 1))
    put_video(tmp_path / "Jogging" / "img", tmp_path / "Jogging" / "groundtruth_rect.2.txt", numbered(5))
    tabs = ROWS.replace(",", "\t")
    put_video(tmp_path / "Tiger1" / "img", tmp_path / "Tiger1" / "groundtruth_rect.txt", numbered(4, 6), tabs)
    jogging, tiger = tabled.read_otb(tmp_path)
    assert jogging.frames.paths[0][0].name == "00001.jpg"
    assert [path.name for path in tiger.frames.paths[0]] == ["0004.jpg", "0005.jpg"]
    assert tiger.boxes[:, 0].tolist() == [11, 12]


def test_uav_ranges_and_whole_folders(tmp_path, monkeypatch):
    only(monkeypatch, tabled.Row("uav_bird1_2", "bird1", 2, 4))
    rows = ROWS.replace("11,21,30,40", "NaN,NaN,NaN,NaN")
    put_video(tmp_path / "data_seq/UAV123/bird1", tmp_path / "anno/UAV123/bird1_2.txt", numbered(6, 4), rows)
    sequence = tabled.read_uav(tmp_path)[0]
    assert sequence.frames.paths[0][0].name == "000002.jpg" and sequence.valid.tolist() == [True, False, True]
    (tmp_path / "anno" / "UAV20L").mkdir()
    (tmp_path / "anno" / "UAV20L" / "bird1.txt").write_text(ROWS + ROWS.split("\n")[0])
    whole = tabled.read_uav20l(tmp_path)[0]
    assert (whole.name, len(whole), len(whole.boxes)) == ("uav_bird1", 4, 4)


def test_nfs_layout_and_missing_images(tmp_path, monkeypatch):
    only(monkeypatch, tabled.Row("nfs_yoyo", "yoyo", 1, 3))
    put_video(tmp_path / "sequences" / "yoyo", tmp_path / "anno" / "nfs_yoyo.txt", numbered(5), ROWS.replace(",", "\t"))
    assert len(tabled.read_nfs(tmp_path)[0]) == 3
    (tmp_path / "sequences" / "yoyo" / "00003.jpg").unlink()
    with pytest.raises(InputError, match="00003.jpg: image does not exist"):
        tabled.read_nfs(tmp_path)


@pytest.mark.parametrize(("table", "count"), [("otb", 100), ("uav", 123), ("nfs", 100)])
def test_tables_are_whole(table, count):
    rows = tabled.read_table(table)
    assert len({row.name for row in rows}) == count and all(row.first <= row.last for row in rows)


def test_tnl2k_image_names_of_any_kind(tmp_path):
    names = ["img_9.png", "img_10.png", "img_11.png"]
    put_video(tmp_path / "part" / "a b", tmp_path / "part" / "a b" / "groundtruth.txt", [])
    put_images(tmp_path / "part" / "a b" / "imgs", names)
    assert [path.name for path in tnl2k.read_tnl2k(tmp_path)[0].frames.paths[0]] == names


def test_coco_objects_are_still_sequences(tmp_path):
    put_images(tmp_path / "images" / "train2017", ["000000000009.jpg", "000000000025.jpg"])
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "instances_train2017.json"
    images = [{"id": 25, "file_name": "000000000025.jpg"}, {"id": 9, "file_name": "000000000009.jpg"}]
    boxes = [(25, 0, [1, 1, 5, 4]), (9, 1, [0, 0, 8, 8]), (9, 0, [2, 2, 0, 3]), (9, 0, [2, 2, 3.5, 3])]
    items = [{"image_id": image, "iscrowd": crowd, "bbox": box} for image, crowd, box in boxes]
    path.write_text(json.dumps({"images": images, "annotations": items}))
    stills = load_training_set("COCO17", {"coco_dir": str(tmp_path)})
    assert len(stills) == 2 and isinstance(stills, coco.StillImages)
    sequence = pickle.loads(pickle.dumps(stills))[1]
    assert sequence.boxes.tolist() == [[2, 2, 3.5, 3]] * 2 and len(sequence) == 2
    assert sequence.frames[0][0].mean() == 0 and stills[0].frames[1][0].mean() == pytest.approx(10, abs=1)
    path.write_text("{}")
    with pytest.raises(InputError, match="not COCO's annotation"):
        coco.read_training(tmp_path)


def test_numbered_images_are_a_list_of_paths():
    images = NumberedImages(Path("a"), 5, first=3, digits=4)
    assert [path.name for path in images] == [f"{number:04d}.jpg" for number in range(3, 8)]
    assert images[-1] == Path("a/0007.jpg") and list(images[1:3]) == [images[1], images[2]] and len(images[9:]) == 0
    assert images[np.int64(2)] == images[2]
    with pytest.raises(IndexError):
        images[5]

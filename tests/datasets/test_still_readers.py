"""Readers of ImageNet DET, YouTube-BB and cropped sets, on small trees in their layouts; what the readers know of
categories and of the other objects in a frame."""

import json
import pickle

import cv2
import numpy as np
import pytest
from test_imagenetvid import put_vid
from test_rgb_readers import numbered, put_got10k
from trees import put_images

from lib.core.errors import InputError
from lib.datasets import load_training_set
from lib.datasets.check import check_sequences
from lib.datasets.readers import cropped, got10k, lasot, youtubebb


def put_det(root, image, objects, part="ILSVRC2013_train/n02084071"):
    """objects: (name, xmin, ymin, xmax, ymax)."""
    path = root / "Annotations" / "DET" / "train" / part / f"{image}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    items = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><xmax>{x2}</xmax><ymin>{y1}</ymin><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for name, x1, y1, x2, y2 in objects
    )
    path.write_text(f"<annotation><size><width>8</width><height>8</height></size>{items}</annotation>")
    return path


def test_imagenet_det_objects_are_still_sequences(tmp_path, caplog):
    put_det(tmp_path, "n02084071_1", [("n02084071", 1, 2, 5, 7), ("n01503061", 0, 0, 3, 4), ("n01503061", 2, 2, 2, 4)])
    put_det(tmp_path, "n02084071_2", [])
    put_det(tmp_path, "x_1", [("n01503061", 0, 1, 8, 8)], part="ILSVRC2014_train_0006")
    put_images(tmp_path / "Data" / "DET" / "train" / "ILSVRC2013_train" / "n02084071", ["n02084071_1.JPEG"])
    stills = load_training_set("IMAGENETDET", {"imagenet_dir": str(tmp_path)})
    assert stills.still and len(stills) == 3 and list(stills.categories) == ["n02084071", "n01503061", "n01503061"]
    dog, bird, other = pickle.loads(pickle.dumps(stills))[:]
    assert dog.boxes.tolist() == [[1, 2, 4, 5]] * 2 and dog.size == (8, 8) and dog.frames[1][0].shape == (8, 8, 3)
    assert dog.objects.others(0).tolist() == dog.objects.others(1).tolist() == [[0, 0, 3, 4]]
    assert bird.objects.others(1).tolist() == [[1, 2, 4, 5]] and bird.video == dog.video != other.video
    assert other.frames.paths[0][0].as_posix().endswith("Data/DET/train/ILSVRC2014_train_0006/x_1.JPEG")
    assert len(other.objects.others(0)) == 0 and "has 333474" in caplog.text
    put_det(tmp_path, "bad", []).write_text("<annotation><object>")
    with pytest.raises(InputError, match="bad.xml: not an annotation of ImageNet DET"):
        load_training_set("IMAGENETDET", {"imagenet_dir": str(tmp_path)})


def test_coco_knows_categories_sizes_and_neighbours(tmp_path):
    put_images(tmp_path / "images" / "train2017", ["1.jpg", "2.jpg"])
    (tmp_path / "annotations").mkdir()
    images = [{"id": 1, "file_name": "1.jpg", "width": 8, "height": 6}, {"id": 2, "file_name": "2.jpg"}]
    objects = [(2, 3, [0, 0, 4, 4]), (1, 3, [1, 1, 2, 2]), (1, 7, [3, 3, 2, 2])]
    items = [{"image_id": i, "iscrowd": 0, "bbox": box, "category_id": kind} for i, kind, box in objects]
    content = {
        "images": images,
        "annotations": items,
        "categories": [{"id": 3, "name": "car"}, {"id": 7, "name": "cat"}],
    }
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    stills = load_training_set("coco17", {"coco_dir": str(tmp_path)})
    assert [sequence.category for sequence in stills] == list(stills.categories) == ["car", "car", "cat"]
    assert [sequence.size for sequence in stills] == [None, (8, 6), (8, 6)]
    assert [len(sequence.objects.others(0)) for sequence in stills] == [0, 1, 1]
    assert stills[1].objects.others(1).tolist() == [[3, 3, 2, 2]]


def test_tracks_of_a_video_know_their_kind_and_each_other(tmp_path):
    put_vid(tmp_path, {3: [(0, 1, 2, 5, 7, 0)], 4: [(0, 1, 2, 5, 7, 0), (1, 0, 0, 4, 4, 1)], 5: [(1, 0, 0, 4, 5, 0)]})
    first, second = load_training_set("IMAGENETVID", {"imagenet_dir": str(tmp_path)})
    assert first.category == "n00000002" and first.video == second.video == "v1"
    assert [first.objects.others(frame).tolist() for frame in (0, 1)] == [[], [[0, 0, 4, 4]]]
    assert [second.objects.others(frame).tolist() for frame in (0, 1)] == [[[1, 2, 4, 5]], []]
    put_got10k(tmp_path, "val", 1)
    (tmp_path / "val" / "GOT-10k_Val_000001" / "meta_info.ini").write_text("[METAINFO]\nobject_class: brown bear\n")
    assert got10k.read_validation(tmp_path)[0].category == "brown bear"


TABLE = """vidA,1000,0,person,0,present,0.25,0.75,0.5,1.0
vidA,2000,0,person,0,absent,-1.0,-1.0,-1.0,-1.0
vidA,3000,0,person,0,present,0.0,0.5,0.0,0.5
vidA,3000,0,person,1,present,0.5,1.0,0.0,1.0
vidA,4000,0,person,1,present,0.5,1.0,0.0,1.0
vidB,0,23,car,0,present,0.1,0.2,0.1,0.2
"""


@pytest.mark.parametrize("pattern", youtubebb.PATTERNS)
def test_youtube_bb_tracks_are_their_labelled_frames(tmp_path, pattern):
    (tmp_path / "yt_bb_detection_train.csv").write_text(TABLE)
    names = {pattern.format(video="vidA", kind="0", target=t, time=time) for t, time in [(0, 1000), (1, 3000)]}
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", np.zeros((10, 20, 3), np.uint8))[1].tobytes())
    clips = load_training_set("YOUTUBEBB", {"youtubebb_dir": str(tmp_path)})
    assert list(clips.categories) == ["person", "person"] and not clips.still  # the car has one box alone
    first, second = pickle.loads(pickle.dumps(clips))[:]
    assert first.boxes.tolist() == [[5, 5, 10, 5], [0, 0, 0, 0], [0, 0, 10, 5]] and first.size == (20, 10)
    assert first.valid.tolist() == [True, False, True] and len(first) == 3 and first.frames[0][0].shape == (10, 20, 3)
    assert [first.objects.others(frame).tolist() for frame in (0, 2)] == [[], [[10, 0, 10, 10]]]
    assert second.objects.others(0).tolist() == [[0, 0, 10, 5]] and first.video == second.video == "vidA"


def test_youtube_bb_that_cannot_be_used(tmp_path):
    folders = {"youtubebb_dir": str(tmp_path)}
    table = tmp_path / "yt_bb_detection_train.csv"
    table.write_text(TABLE)
    with pytest.raises(InputError, match="first frame is at none of train/0/vidA_1000_0_0.jpg, train/vidA/1000.jpg"):
        load_training_set("YOUTUBEBB", folders)
    table.write_text("youtube_id,timestamp_ms\n" + TABLE.replace("0.1,0.2,0.1,0.2", "0.1,0.2"))
    with pytest.raises(InputError, match="line 7 is not a row of 10 fields"):
        load_training_set("YOUTUBEBB", folders)


@pytest.mark.parametrize("size", [(37, 23), (640, 480)])
def test_size_of_a_jpeg_is_read_from_its_header(tmp_path, size):
    image = np.zeros((*size, 3), np.uint8)
    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    assert youtubebb.image_size(tmp_path / "a.jpg") == size[::-1]
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="a.jpg: image cannot be decoded"):
        youtubebb.image_size(tmp_path / "a.jpg")


def put_crops(root, content, categories=None):
    root.mkdir(parents=True)
    for video, tracks in content.items():
        names = [f"{int(frame):06d}.{track}.x.jpg" for track, rows in tracks.items() for frame in rows]
        put_images(root / "crop511" / video, names)
    (root / "train.json").write_text(json.dumps(content))
    if categories is not None:
        (root / "categories.json").write_text(json.dumps(categories))


def test_cropped_targets_are_centred_at_the_scale_of_their_template(tmp_path):
    # A target of 40 x 80 has a square of sqrt(100 * 140) = 118.32 pixels.
    content = {"a/v1": {"00": {"000003": [10, 20, 50, 100], "000007": [40, 80]}, "01": {"000003": [60, 20, 100, 100]}}}
    put_crops(tmp_path / "vid", content, {"a/v1": {"00": "dog"}})
    first, second = pickle.loads(pickle.dumps(load_training_set("VID511", {"crop511_dir": str(tmp_path)})))[:]
    scale = 127 / np.sqrt(100 * 140)
    expected = [255.5 - 20 * scale, 255.5 - 40 * scale, 40 * scale, 80 * scale]
    np.testing.assert_allclose(first.boxes, [expected] * 2)
    assert (first.category, second.category, first.video) == ("dog", "", "a/v1")
    assert [path.name for path in first.frames.paths[0]] == ["000003.00.x.jpg", "000007.00.x.jpg"]
    shifted = np.array(expected) + [50 * scale, 0, 0, 0]
    np.testing.assert_allclose(first.objects.others(0), [shifted])
    assert len(first.objects.others(1)) == 0 and len(second.objects.others(0)) == 1


def test_cropped_sets_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="no train.json with crop511.lmdb or crop511/ here; set crop511_dir"):
        cropped.read_coco(tmp_path)
    for text, expected in (("[]", "holds list"), ('{"a": {"0": {"1": [2, 3, 4]}}}', "not .video: "), ("{", "not JSON")):
        folder = tmp_path / "coco"
        (folder / "crop511").mkdir(parents=True, exist_ok=True)
        (folder / "train.json").write_text(text)
        with pytest.raises(InputError, match=expected):
            cropped.read_coco(tmp_path)


def test_training_on_a_test_set_is_said(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(lasot, "TEST_LIST", tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("cat-1\n")
    put_images(tmp_path / "cat" / "cat-1" / "img", numbered(8))
    (tmp_path / "cat" / "cat-1" / "groundtruth.txt").write_text("1,1,2,2\n" * 3)
    assert lasot.read_testing(tmp_path)[0].category == "cat"
    put_images(tmp_path / "otb" / "img", [])
    with pytest.raises(InputError):
        load_training_set("otb", {"otb_dir": str(tmp_path / "otb")})
    assert "DATA.TRAIN.DATASETS_NAME: otb is a test set" in caplog.text


def test_check_names_tracks_whose_first_frame_is_missing(tmp_path):
    (tmp_path / "yt_bb_detection_train.csv").write_text(TABLE)
    for time in (1000, 2000):
        path = tmp_path / "vidA" / f"{time}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", np.zeros((10, 20, 3), np.uint8))[1].tobytes())
    clips = load_training_set("YOUTUBEBB", {"youtubebb_dir": str(tmp_path)})
    found = check_sequences(clips, 1)
    assert found.sequences == 2 and found.frames == 3
    assert [problem.kind for problem in found.problems] == ["missing", "sequence"]
    assert all("3000.jpg: image does not exist" in problem.line for problem in found.problems)

"""Cutting sets to crops: what is written is what the reader reads, wherever it was interrupted."""

import json
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from test_still_readers import TABLE

from lib.cli import crops
from lib.core.errors import InputError
from lib.datasets import cropping, load_training_set, store_writer
from lib.datasets.cropping import cut_target

ROOT = Path(__file__).parents[2]


def put_image(path, things, size=(240, 320)):
    """A dark image with a bright rectangle for each thing (xywh)."""
    image = np.full((*size, 3), 30, np.uint8)
    for x, y, w, h in things:
        image[y : y + h, x : x + w] = 220
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes())


def put_video(root, tracks, name="v1"):
    """tracks: track -> {frame: xywh}."""
    part = Path("train") / "ILSVRC2015_VID_train_0000" / name
    frames = sorted({frame for boxes in tracks.values() for frame in boxes})
    for frame in range(frames[0], frames[-1] + 1):
        things = [(track, boxes[frame]) for track, boxes in tracks.items() if frame in boxes]
        put_image(root / "Data" / "VID" / part / f"{frame:06d}.JPEG", [box for _, box in things])
        items = "".join(
            f"<object><trackid>{track}</trackid><name>n02084071</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
            f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
            for track, (x, y, w, h) in things
        )
        path = root / "Annotations" / "VID" / part / f"{frame:06d}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<annotation>{items}</annotation>")


@pytest.fixture
def command(monkeypatch):

    def run(*words):
        monkeypatch.setattr("sys.argv", ["prepare_crops.py", *map(str, words)])
        crops.main()

    return run


TRACKS = {
    0: {5: (100, 80, 40, 30), 6: (104, 82, 40, 30), 7: (0, 0, 4, 4)},
    1: {6: (200, 100, 24, 48), 7: (201, 100, 24, 48)},
}


@pytest.mark.parametrize("workers", [0, 2])
def test_crops_are_read_as_they_were_cut(tmp_path, command, workers, capsys):
    put_video(tmp_path / "imagenet", TRACKS)
    command("imagenetvid", "--data_dir", tmp_path / "imagenet", "--out", tmp_path / "crops", "--workers", workers)
    assert "set crop511_dir" in capsys.readouterr().out
    raw = load_training_set("imagenetvid", {"imagenet_dir": str(tmp_path / "imagenet")})
    first, second = load_training_set("vid511", {"crop511_dir": str(tmp_path / "crops")})
    assert (first.category, first.video) == ("n02084071", "v1") and (len(first), len(second)) == (
        2,
        2,
    )  # 4 x 4 is small
    for sequence, original in ((first, raw[0]), (second, raw[1])):
        for row in range(2):
            crop, box = sequence.frames[row][0], sequence.boxes[row]
            assert crop.shape == (511, 511, 3)
            middle = crop[..., 0][255 - int(box[3] / 2) + 8 : 255 + int(box[3] / 2) - 8]
            columns = np.flatnonzero((middle > 125).all(0))
            columns = columns[(columns > box[0] - 20) & (columns < box[0] + box[2] + 20)]
            np.testing.assert_allclose([columns[0], columns[-1] + 1], [box[0], box[0] + box[2]], atol=1.5)
            assert box[2] / box[3] == pytest.approx(original.boxes[row, 2] / original.boxes[row, 3])
    # what is beside a target is told in the crop of the frame that both are in
    assert len(first.objects.others(0)) == 0 and len(first.objects.others(1)) == 1
    scale = first.boxes[1, 2] / 40
    np.testing.assert_allclose(first.objects.others(1)[0, :2] - first.boxes[1, :2], np.array([96, 18]) * scale)


def stored(folder):
    """The crops of a complete store by key, and what it says of itself."""
    path = str(folder / "crop511.lmdb")
    with lmdb.open(path, subdir=False, lock=False, readonly=True) as found, found.begin() as view:
        content = {key.decode(): value for key, value in view.cursor()}
    return content, json.loads(content.pop("__meta__"))


@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_run_goes_on_and_keeps_crops(tmp_path, command, workers, monkeypatch):
    put_video(tmp_path / "imagenet", TRACKS)
    words = ["imagenetvid", "--data_dir", tmp_path / "imagenet", "--workers", workers, "--out"]
    command(*words, tmp_path / "whole")
    whole, about = stored(tmp_path / "whole" / "vid")
    assert sorted(whole) == [
        "v1_00/v/000005", "v1_00/v/000006", "v1_01/v/000006", "v1_01/v/000007",
    ]  # fmt: skip
    assert about == {
        "version": 1, "images": 4, "content": "crops", "quality": 95, "streams": ["visible"], "step": 1,
        "least_side": 10, "geometry": {"side": 511, "template": 127, "context": 0.5},
    }  # fmt: skip
    folder = tmp_path / "crops" / "vid"
    monkeypatch.setattr(store_writer, "COMMIT_IMAGES", 1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cropping.CropTables, "write", interrupt)
        command(*words, tmp_path / "crops")
    assert [path.name for path in folder.iterdir()] == ["crop511.lmdb.partial"]
    with pytest.raises(InputError, match="crops/vid: is not complete; continue with .*prepare_crops"):
        load_training_set("vid511", {"crop511_dir": str(tmp_path / "crops")})
    with pytest.raises(InputError, match="was begun by another command"):
        command(*words, tmp_path / "crops", "--step", 2)
    with (
        lmdb.open(str(folder / "crop511.lmdb.partial"), subdir=False, lock=False) as half,
        half.begin(write=True) as view,
    ):
        view.put(b"v1_00/v/000006", b"mine")
        view.delete(b"v1_01/v/000007")
    command(*words, tmp_path / "crops")
    assert stored(folder)[0] == whole | {"v1_00/v/000006": b"mine"}
    assert (folder / "train.json").read_bytes() == (tmp_path / "whole" / "vid" / "train.json").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["categories.json", "crop511.lmdb", "train.json"]
    with pytest.raises(InputError, match="crops/vid: is complete; remove it"):
        command(*words, tmp_path / "crops")


def interrupt(*_):
    raise KeyboardInterrupt


def test_crops_as_single_files_are_kept(tmp_path, command):
    put_video(tmp_path / "imagenet", TRACKS)
    (tmp_path / "crops" / "vid" / "crop511").mkdir(parents=True)
    (tmp_path / "crops" / "vid" / "train.json").write_text("{}")
    with pytest.raises(InputError, match="holds crops as single files in crop511, which are read as they are"):
        command("imagenetvid", "--data_dir", tmp_path / "imagenet", "--out", tmp_path / "crops", "--workers", 0)
    assert (tmp_path / "crops" / "vid" / "train.json").read_text() == "{}"


def test_frames_that_cannot_be_read_are_named_and_left_out(tmp_path, command):
    put_video(tmp_path / "imagenet", TRACKS)
    image = next((tmp_path / "imagenet" / "Data").rglob("000006.JPEG"))
    image.write_bytes(b"\xff\xd8")
    with pytest.raises(InputError, match="left out: 2 frames of which .* read: .*000006.JPEG: image cannot be"):
        command("imagenetvid", "--data_dir", tmp_path / "imagenet", "--out", tmp_path / "crops", "--workers", 0)
    boxes = json.loads((tmp_path / "crops" / "vid" / "train.json").read_text())
    assert boxes == {"v1": {"00": {"000005": [100, 80, 140, 110]}, "01": {"000007": [201, 100, 225, 148]}}}
    assert [len(track) for track in load_training_set("vid511", {"crop511_dir": str(tmp_path / "crops")})] == [1, 1]


def test_step_counts_the_annotated_frames_of_a_video_so_that_its_tracks_stay_together(tmp_path, command):
    boxes = [{frame: (20 * track + frame, 80, 40, 30) for frame in range(3 * track, 9)} for track in range(2)]
    put_video(tmp_path / "imagenet", dict(enumerate(boxes)))
    words = ["imagenetvid", "--data_dir", tmp_path / "imagenet", "--out", tmp_path / "crops", "--workers", 0]
    command(*words, "--step", 4)
    assert sorted(stored(tmp_path / "crops" / "vid")[0]) == [
        "v1_00/v/000000", "v1_00/v/000004", "v1_00/v/000008", "v1_01/v/000004", "v1_01/v/000008",
    ]  # fmt: skip


def test_still_images_and_sparse_videos(tmp_path, command):
    put_image(tmp_path / "coco" / "images" / "train2017" / "9.jpg", [(50, 60, 30, 20), (110, 60, 20, 30)])
    (tmp_path / "coco" / "annotations").mkdir()
    items = [
        {"image_id": 9, "iscrowd": 0, "bbox": box, "category_id": 1} for box in ([50, 60, 30, 20], [110, 60, 20, 30])
    ]
    content = {
        "images": [{"id": 9, "file_name": "9.jpg"}],
        "annotations": items,
        "categories": [{"id": 1, "name": "cup"}],
    }
    (tmp_path / "coco" / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    command("coco17", "--data_dir", tmp_path / "coco", "--out", tmp_path / "crops", "--workers", 0)
    stills = load_training_set("coco511", {"crop511_dir": str(tmp_path / "crops")})
    assert stills.still and len(stills) == 2 and list(stills.categories) == ["cup", "cup"]
    assert len(stills[0]) == 1 and len(stills[0].objects.others(0)) == 1

    (tmp_path / "ytbb").mkdir()
    (tmp_path / "ytbb" / "yt_bb_detection_train.csv").write_text(TABLE)
    for time in (1000, 2000, 3000, 4000):
        put_image(tmp_path / "ytbb" / "vidA" / f"{time}.jpg", [])
    command("youtubebb", "--data_dir", tmp_path / "ytbb", "--out", tmp_path / "crops", "--workers", 0)
    clips = load_training_set("youtubebb511", {"crop511_dir": str(tmp_path / "crops")})
    assert clips[0].frames.numbers == [1000, 3000]
    assert [len(clips[0].objects.others(row)) for row in (0, 1)] == [0, 1]


def test_target_at_a_fraction_of_a_pixel_is_in_the_middle():
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:100, 120:160] = 255
    crop = cut_target(image, np.array([120.0, 80, 40, 20]))[..., 0].astype(float)
    crop[crop < 20] = 0  # the mean colour, outside the image
    y, x = np.mgrid[:511, :511] + 0.5
    np.testing.assert_allclose([(crop * x).sum() / crop.sum(), (crop * y).sum() / crop.sum()], 255.5, atol=0.05)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["otb"], "is unknown"),
        (["coco17", "--workers", "-1"], "--workers -1"),
        (["coco17", "--step", "0"], "--step 0"),
        (["coco17", "--least_side", "0"], "--least_side 0"),
    ],
)
def test_words_that_mean_nothing(command, words, expected):
    with pytest.raises(InputError, match=expected):
        command(*words)

"""Cutting sets of two cameras: pairs of crops, each around its own box; what is left out is counted."""

import json
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from lib.cli import crops
from lib.core.errors import InputError
from lib.core.view import context_side
from lib.datasets import load_training_set
from lib.datasets.cropping import QUALITY, cut_target
from lib.datasets.image import read_image
from lib.datasets.readers import lasher

VISIBLE_BOX, INFRARED_BOX = (100, 80, 40, 80), (112, 70, 30, 60)


def put_image(path, box, value=220, size=(240, 320)):
    """A dark image with a bright rectangle at a box (xywh)."""
    x, y, w, h = box
    image = np.full((*size, 3), 30, np.uint8)
    image[y : y + h, x : x + w] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


def put_streams(folder, names, frames, size=(240, 320)):
    """names: folders of the visible and the infrared stream; the boxes move by a pixel each frame."""
    for name, (x, y, w, h) in zip(names, (VISIBLE_BOX, INFRARED_BOX), strict=True):
        for frame in range(frames):
            put_image(folder / name / f"{frame:05d}.jpg", (x + frame, y, w, h), size=size)


def lines(box, frames, step=1, corners=False):
    x, y, w, h = box
    rows = [(x + k, y, x + k + w, y + h) if corners else (x + k, y, w, h) for k in range(0, frames, step)]
    return "".join(" ".join(map(str, row)) + "\n" for row in rows)


def put_gtot(root, names=("BlackCar",), frames=4):
    for name in names:
        put_streams(root / name, ("v", "i"), frames)
        (root / name / "groundTruth_v.txt").write_text(lines(VISIBLE_BOX, frames, corners=True))
        (root / name / "groundTruth_i.txt").write_text(lines(INFRARED_BOX, frames, corners=True))


def put_two_files(folder, streams, files, frames, step=1):
    put_streams(folder, streams, frames)
    for file, box in zip(files, (VISIBLE_BOX, INFRARED_BOX), strict=True):
        (folder / file).write_text(lines(box, frames, step))


@pytest.fixture
def cut(monkeypatch, tmp_path):
    """Cuts a set below tmp_path / <set>; returns its folder of crops."""

    def run(name, *words):
        argv = ["prepare_crops.py", name, "--data_dir", tmp_path / name, "--out", tmp_path / "crops", *words]
        monkeypatch.setattr("sys.argv", [*map(str, argv), *([] if "--workers" in words else ["--workers", "0"])])
        crops.main()
        return tmp_path / "crops" / crops.FOLDERS[name]

    return run


def read(tmp_path, name):
    return load_training_set(name, {"crop511_dir": str(tmp_path / "crops")})


def stored(folder):
    path = str(folder / "crop511.lmdb")
    with lmdb.open(path, subdir=False, lock=False, readonly=True) as found, found.begin() as view:
        return {key.decode(): value for key, value in view.cursor()}


def bright(crop):
    """xywh of the bright part of a crop, in pixels of the crop."""
    rows, columns = (np.flatnonzero((crop[..., 0] > 125).any(axis)) for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]


def test_square_of_a_crop_is_that_of_the_family():
    side = context_side(np.array(VISIBLE_BOX))
    assert side == pytest.approx(118.3216, abs=1e-4)
    assert side * 255 / 127 == pytest.approx(237.5749, abs=1e-4)
    assert side * 511 / 127 == pytest.approx(476.0814, abs=1e-4)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_stream_is_cut_around_its_own_box(tmp_path, cut, workers, caplog):
    put_gtot(tmp_path / "gtot", ("occBike", "BlackCar"))
    folder = cut("gtot", "--workers", workers)
    assert sorted(path.name for path in folder.iterdir()) == [
        "categories.json", "crop511.lmdb", "infrared.json", "train.json",
    ]  # fmt: skip
    assert "do not report scores" not in caplog.text
    content = stored(folder)
    expected = {f"{name}_00/{s}/{k:06d}" for name in ("occBike", "BlackCar") for s in "vi" for k in range(4)}
    assert content.keys() - {"__meta__"} == expected
    assert json.loads(content["__meta__"])["streams"] == ["visible", "infrared"]
    image = read_image(tmp_path / "gtot" / "occBike" / "i" / "00002.jpg")
    crop = cut_target(image, np.array(INFRARED_BOX, float) + [2, 0, 0, 0])
    coded = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    assert content["occBike_00/i/000002"] == coded

    first, second = read(tmp_path, "gtot511")
    assert "gtot511 is a test set" in caplog.text
    assert (first.name, second.name, len(second)) == ("BlackCar_00", "occBike_00", 4)
    for sequence in (first, second):
        for row in range(4):
            images, boxes = sequence.frames[row], (sequence.boxes[row], sequence.boxes_infrared[row])
            for image, box, own in zip(images, boxes, (VISIBLE_BOX, INFRARED_BOX), strict=True):
                scale = 127 / context_side(np.array(own))
                np.testing.assert_allclose(box[2:], np.array(own[2:]) * scale)
                np.testing.assert_allclose(box[:2] + box[2:] / 2, 255.5)  # the middle of pixel 255
                assert image.shape == (511, 511, 3)
                np.testing.assert_allclose(bright(image), box, atol=1.5)


def test_common_boxes_have_no_file_of_their_own(tmp_path, cut, monkeypatch):
    for name in ("boy'scap", "car", "car2"):
        put_two_files(tmp_path / "lasher_train" / "trainingset" / name, ("visible", "infrared"),
                      ("visible.txt", "infrared.txt"), 3)  # fmt: skip
    folder = cut("lasher_train")
    assert not (folder / "infrared.json").exists()
    sequences = read(tmp_path, "LasHeR511")
    assert [sequence.name for sequence in sequences] == ["boy'scap_00", "car_00", "car2_00"]
    assert sequences[0].boxes_infrared is None and sequences[0].frames.modalities == ("visible", "infrared")
    # the infrared stream is cut around the common box, so that its rectangle is beside the middle
    scale = 127 / context_side(np.array(VISIBLE_BOX))
    x = sequences[0].boxes[0, 0] + (INFRARED_BOX[0] - VISIBLE_BOX[0]) * scale
    assert bright(sequences[0].frames[0][1])[0] == pytest.approx(x, abs=1.5)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / lasher.HELD_IN).write_text("car2\nboy'scap\n")
    (tmp_path / "splits" / lasher.HELD_OUT).write_text("car\n")
    monkeypatch.setattr("lib.datasets.readers.cropped.SPLITS", tmp_path / "splits")
    assert [sequence.name for sequence in read(tmp_path, "LasHeR511_val97")] == ["car_00"]
    assert [sequence.name for sequence in read(tmp_path, "LasHeR511_train882")] == ["boy'scap_00", "car2_00"]


def test_sparse_annotation_is_stepped_over(tmp_path, cut):
    folder = tmp_path / "vtuav_st_train" / "train_ST_001" / "car_016"
    put_two_files(folder, ("rgb", "ir"), ("rgb.txt", "ir.txt"), 41, step=10)
    done = cut("vtuav_st_train", "--step", "2")
    assert sorted(stored(done).keys() - {"__meta__"}) == [
        f"car_016_00/{stream}/{frame:06d}" for stream in "iv" for frame in (0, 20, 40)
    ]
    (sequence,) = read(tmp_path, "VTUAV_st511")
    for row in range(3):
        np.testing.assert_allclose(bright(sequence.frames[row][1]), sequence.boxes_infrared[row], atol=1.5)


def test_rgbt234_and_unaligned_images_of_other_size(tmp_path, cut):
    put_two_files(tmp_path / "rgbt234" / "man2", ("visible", "infrared"), ("visible.txt", "infrared.txt"), 2)
    (tmp_path / "rgbt234" / "man2" / "infrared.txt").write_text("112,70,30,60\n113,70,5,60\n")
    cut("rgbt234")
    (sequence,) = read(tmp_path, "RGBT234_511")
    assert len(sequence) == 1, "the infrared box of the second frame is 5 pixels wide"

    folder = tmp_path / "lasher_unaligned_train" / "trainingset" / "man2"
    put_two_files(folder, ("visible", "infrared"), ("visible.txt", "infrared.txt"), 2)
    for frame in range(2):
        put_image(folder / "infrared" / f"{frame:05d}.jpg", (112 + frame, 70, 30, 60), size=(180, 210))
    cut("lasher_unaligned_train")
    (sequence,) = read(tmp_path, "LasHeR_unaligned511")
    np.testing.assert_allclose(bright(sequence.frames[1][1]), sequence.boxes_infrared[1], atol=1.5)


def damage(path):
    """A file with blocks that were never written; decoders fill the picture with grey."""
    pixels = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    content = cv2.imencode(".jpg", pixels)[1].tobytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(512) + content[middle + 512 :])
    assert cv2.imread(str(path)) is not None


def empty(path):
    path.write_bytes(b"")


def unlink_later(path):
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("stream", ["v", "i"])
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [(damage, "image is damaged: a hole of zeros"), (empty, "cannot be decoded"), (unlink_later, "does not exist")],
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_pair_of_which_an_image_is_missing_or_broken_is_left_out(tmp_path, cut, stream, spoil, expected, workers):
    put_gtot(tmp_path / "gtot", ("BlackCar", "occBike"))
    spoil(tmp_path / "gtot" / "occBike" / stream / "00001.jpg")
    with pytest.raises(InputError, match=f"left out: 1 pair of which .* read: .*{stream}/00001.jpg: .*{expected}"):
        cut("gtot", "--workers", workers)
    content = stored(tmp_path / "crops" / "gtot")
    assert len(content) == 1 + 2 * (4 + 3)
    assert {"occBike_00/v/000001", "occBike_00/i/000001"}.isdisjoint(content)
    first, second = read(tmp_path, "gtot511")
    assert (len(first), len(second), second.frames.numbers) == (4, 3, [0, 2, 3])
    np.testing.assert_allclose(bright(second.frames[1][1]), second.boxes_infrared[1], atol=1.5)


def test_box_that_is_mostly_outside_its_image_is_left_out(tmp_path, cut):
    put_gtot(tmp_path / "gtot")
    rows = (tmp_path / "gtot" / "BlackCar" / "groundTruth_i.txt").read_text().splitlines()
    rows[2] = "301 70 341 130"  # 19 of 40 columns
    (tmp_path / "gtot" / "BlackCar" / "groundTruth_i.txt").write_text("\n".join(rows))
    cut("gtot")
    assert read(tmp_path, "gtot511")[0].frames.numbers == [0, 1, 3]


def test_boxes_of_other_frames_and_other_geometry_are_refused(tmp_path, cut):
    put_gtot(tmp_path / "gtot")
    folder = cut("gtot")
    whole = (folder / "infrared.json").read_text()
    (folder / "infrared.json").write_text(whole.replace("000002", "000009"))
    with pytest.raises(InputError, match="infrared.json: has other frames than train.json"):
        read(tmp_path, "gtot511")
    (folder / "infrared.json").write_text("[]")
    with pytest.raises(InputError, match="infrared.json: holds list"):
        read(tmp_path, "gtot511")
    (folder / "infrared.json").write_text(whole)
    (folder / "crop511.lmdb").unlink()  # LMDB opens a file once in a process
    cut("gtot")
    about = json.loads(stored(folder)["__meta__"]) | {"geometry": {"side": 255}}
    with lmdb.open(str(folder / "crop511.lmdb"), subdir=False, lock=False) as found, found.begin(write=True) as view:
        view.put(b"__meta__", json.dumps(about).encode())
    with pytest.raises(InputError, match="crop511.lmdb: holds no crops of 511 pixels"):
        read(tmp_path, "gtot511")


def test_two_cutters_at_once_are_refused(tmp_path, cut, monkeypatch):
    put_gtot(tmp_path / "gtot")
    again = []

    def cut_again(*_, **__):
        monkeypatch.undo()
        with pytest.raises(InputError, match="is writing here"):
            cut("gtot")
        again.append(Path())
        raise KeyboardInterrupt

    monkeypatch.setattr("lib.datasets.cropping.cut_frames", cut_again)
    with pytest.raises(KeyboardInterrupt):
        cut("gtot")
    cut("gtot")
    assert again and len(read(tmp_path, "gtot511")) == 1

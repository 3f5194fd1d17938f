"""Images that are decoded no larger than needed: where their pixels lie, and what that does to a training sample."""

import cv2
import micro
import numpy as np
import pytest

from lib.datasets import image, pack
from lib.datasets.camera import keep_camera
from lib.datasets.image import REDUCTIONS, choose_reduction, decode_image, read_image, shrink
from lib.datasets.sequence import INFRARED, FileFrames, Sequence
from lib.train.data.augment import CropRecipe, draw_crop
from lib.train.data.loader import build_loader

SIZES = [(48, 64), (477, 631), (9, 17)]  # also odd ones, height x width


def picture(height, width, seed=0):
    """A smooth picture in colour: what a camera sees, not noise."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def put(path, pixels):
    quality = [cv2.IMWRITE_JPEG_QUALITY, 98] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, pixels[..., ::-1], quality)[1].tobytes())
    return path


@pytest.fixture(params=["jpeg4py", "OpenCV"])
def decoder(request, monkeypatch):
    """Both ways to read a JPEG file."""
    if request.param == "OpenCV":
        monkeypatch.setattr(image, "_jpeg_decoder", lambda: lambda source, reduction: None)
    else:
        pytest.importorskip("jpeg4py")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("size", SIZES)
def test_a_pixel_covers_the_pixels_that_it_stands_for(tmp_path, decoder, size, suffix):
    path = put(tmp_path / f"a{suffix}", picture(*size))
    whole = read_image(path)
    for reduction in REDUCTIONS:
        reduced = read_image(path, reduction)
        assert reduced.shape == (-(-size[0] // reduction), -(-size[1] // reduction), 3)
        assert np.array_equal(reduced, decode_image(np.fromfile(path, np.uint8), "a", reduction))
        means = shrink(whole, reduction)
        inside = tuple(slice(length // reduction) for length in size)  # pixels that cover whole blocks
        blocks = whole[: inside[0].stop * reduction, : inside[1].stop * reduction].astype(float)
        blocks = blocks.reshape(inside[0].stop, reduction, inside[1].stop, reduction, 3).mean(axis=(1, 3))
        assert np.abs(means[inside] - blocks).max() <= 0.51
        difference = np.abs(reduced.astype(float) - means)
        assert difference.max() == 0 if suffix == ".png" else difference.mean() < 2
        shifted = np.abs(reduced[:, 1:].astype(float) - means[:, :-1])
        assert shifted.mean() > 3 * difference.mean()  # one pixel to the side is another picture


@pytest.mark.parametrize(("side", "expected"), [(0, 1), (127, 1), (128, 2), (255.9, 2), (256, 4), (512, 8), (9999, 8)])
def test_a_square_keeps_the_pixels_that_its_crop_needs(side, expected):
    assert choose_reduction(side, 64) == expected


def video(folder, suffix=".jpg", number=4, size=(477, 631)):
    """A sequence on disk whose target is a bright disc on a smooth ground, and its boxes."""
    paths, boxes = ([], []), []
    for index in range(number):
        x, y, w, h = 200 + 20 * index, 150 + 12 * index, 110 - 2 * index, 96
        for stream, letter in enumerate("vi"):
            ground = picture(*size, seed=stream) // 4
            cv2.ellipse(ground, ((x + w / 2 - 0.5, y + h / 2 - 0.5), (w, h), 0), (255, 255, 255), -1)
            paths[stream].append(put(folder / f"{letter}{index}{suffix}", ground))
        boxes.append([x, y, w, h])
    return Sequence("disc", FileFrames(tuple(map(tuple, paths))), np.array(boxes, float))


def test_every_kind_of_frames_reduces_alike(tmp_path):
    made = video(tmp_path, number=2)
    pack.pack([made], tmp_path / "packed")
    packed = pack.read_pack(tmp_path / "packed")[0]
    alone = keep_camera(made, INFRARED, 2)
    for reduction in (1, *REDUCTIONS):
        files = made.frames.reduced(1, reduction)
        for frames in (packed.frames, made.frames):
            assert all(map(np.array_equal, frames.reduced(1, reduction), files))
        assert np.array_equal(alone.frames.reduced(1, reduction)[1], files[1])
    assert all(map(np.array_equal, made.frames[1], made.frames.reduced(1, 1)))


@pytest.mark.parametrize(("factor", "size", "reduction"), [(4.0, 128, 2), (4.0, 48, 8), (2.0, 48, 4)])
def test_boxes_lie_where_they_did_to_a_fraction_of_a_pixel(tmp_path, factor, size, reduction):
    frames = video(tmp_path)
    recipe = CropRecipe(factor, size, center_jitter=1.0, scale_jitter=0.0)
    asked, least = [], 0.5 * size / (factor * 89)  # half a pixel of the frame in the smallest crop
    for seed in range(24):
        row = seed % len(frames)

        def read(number, row=row):
            asked.append(number)
            return np.concatenate(frames.frames.reduced(row, number), axis=2)

        views = [
            draw_crop(read, frames.boxes[row], recipe, np.random.default_rng(seed), scaled=scaled)
            for scaled in (False, True)
        ]
        whole, reduced = views
        np.testing.assert_allclose(reduced.box * size, whole.box * size, atol=0.5)
        for view in views:
            rows, columns = np.nonzero(view.image[..., 0] > 127)
            middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / size
            off = np.abs(middle - view.box[:2] - view.box[2:] / 2 - 0.5 / size) * size
            assert off.max() < least + 0.55  # a square begins at a whole pixel of what was read
    assert asked[::2] == [1] * 24 and set(asked[1::2]) == {reduction}


def samples(frames, *changes):
    cfg = micro.config("iimf_track", "DATA.TRAIN.SAMPLE_PER_EPOCH=12", "TRAIN.BATCH_SIZE=1", "TRAIN.NUM_WORKER=0",
                       "DATA.TRAIN.DATASETS_RATIO=[1]", "DATA.TRAIN.DATASETS_NAME=[x]", *changes)  # fmt: skip
    return [sample.batch for sample in build_loader(cfg, [[frames]], stage=0)]


def test_the_option_reads_less_and_draws_the_same(tmp_path, monkeypatch):
    read = []

    def count(path, reduction=1, span=None):
        read.append(reduction)
        return read_image(path, reduction, span)

    monkeypatch.setattr("lib.datasets.sequence.read_image", count)
    frames = video(tmp_path)
    plain = samples(frames)
    assert set(read) == {1}
    read.clear()
    reduced = samples(frames, "DATA.SCALED_DECODE=true")
    assert set(read) >= {4, 8}
    for one, other in zip(plain, reduced, strict=True):
        for name in ("template", "search"):
            boxes = [getattr(batch, f"{name}_box")[0].numpy() for batch in (one, other)]
            size = getattr(one, name).shape[-1]
            np.testing.assert_allclose(boxes[0] * size, boxes[1] * size, atol=0.6)
            pixels = [getattr(batch, name).numpy().astype(float) for batch in (one, other)]
            assert np.abs(pixels[0] - pixels[1]).mean() < 12

"""Files with an orientation tag (EXIF): one rule for all formats and decoders."""

import logging
import struct
import zlib

import cv2
import numpy as np
import pytest
from trees import put_pair

from lib.datasets import image, orientation
from lib.datasets.image import read_image, read_stored
from lib.datasets.readers.folder import read_folder
from lib.datasets.readers.youtubebb import image_size

#: what a viewer shows of 2 rows "ab", "cd" of the file
TURNED = {1: "ab/cd", 2: "ba/dc", 3: "dc/ba", 4: "cd/ab", 5: "ac/bd", 6: "ca/db", 7: "db/ca", 8: "bd/ac"}
LEVELS = {"a": 0, "b": 80, "c": 160, "d": 240}
SUFFIXES = (".jpg", ".png", ".tif")


def stored():
    """[32, 64] in four parts."""
    return np.kron([[LEVELS["a"], LEVELS["b"]], [LEVELS["c"], LEVELS["d"]]], np.ones((16, 32))).astype(np.uint8)


def shown(value):
    rows = [[LEVELS[letter] for letter in row] for row in TURNED[value].split("/")]
    return np.kron(rows, np.ones((16, 32) if value < 5 else (32, 16)))


def directory(value, order="<"):
    return struct.pack(f"{order}2sHIHHHIHHI", b"II" if order == "<" else b"MM", 42, 8, 1, 274, 3, 1, value, 0, 0)


def write(path, value, order="<"):
    """An image file with an orientation tag."""
    plain = cv2.imencode(path.suffix, stored(), [cv2.IMWRITE_JPEG_QUALITY, 95] * (path.suffix == ".jpg"))[1].tobytes()
    tag = directory(value, order)
    if path.suffix == ".jpg":
        data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 8) + b"Exif\0\0" + tag + plain[2:]
    elif path.suffix == ".png":
        chunk = b"eXIf" + tag
        data = plain[:33] + struct.pack(">I", len(tag)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]
    else:
        pixels = stored().tobytes()
        fields = {256: 64, 257: 32, 258: 8, 259: 1, 262: 1, 273: 8, 274: value, 277: 1, 278: 32, 279: len(pixels)}
        rows = b"".join(struct.pack(f"{order}HHIHH", key, 3, 1, number, 0) for key, number in fields.items())
        head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(pixels))
        data = head + pixels + struct.pack(f"{order}H", len(fields)) + rows + bytes(4)
    path.write_bytes(data)
    return path


@pytest.fixture(params=["jpeg4py", "OpenCV"])
def decoder(request, monkeypatch):
    """Both ways to read a JPEG file; the first where its library is installed."""
    if request.param == "OpenCV":
        monkeypatch.setattr(image, "_jpeg_decoder", lambda: lambda source, reduction: None)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", TURNED)
def test_pictures_are_turned_as_the_tag_says(tmp_path, decoder, suffix, value):
    path = write(tmp_path / f"a{suffix}", value)
    found = read_image(path)
    assert found.shape[:2] == shown(value).shape
    np.testing.assert_allclose(found[..., 1], shown(value), atol=6)
    for reduction in (2, 4):
        np.testing.assert_allclose(read_image(path, reduction)[..., 0], shown(value)[::reduction, ::reduction], atol=6)
    if suffix != ".jpg":
        np.testing.assert_array_equal(read_stored(path)[..., 0], stored())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_both_byte_orders_and_values_that_mean_nothing(tmp_path, suffix):
    np.testing.assert_allclose(read_image(write(tmp_path / f"a{suffix}", 6, ">"))[..., 0], shown(6), atol=6)
    for value in (0, 9, 65535):
        np.testing.assert_allclose(read_image(write(tmp_path / f"b{suffix}", value))[..., 0], stored(), atol=6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_tags_are_no_tags(tmp_path, suffix):
    whole = np.fromfile(write(tmp_path / f"a{suffix}", 6), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = whole.copy()
        data[rng.integers(0, min(len(data), 120), 3)] = rng.integers(0, 256, 3)
        hidden, value = orientation.hide_orientation(data[: rng.integers(0, len(data))])
        assert value in TURNED and len(hidden) <= len(data)


def test_turned_pictures_are_said_once_a_folder(tmp_path, caplog):
    orientation._say.cache_clear()
    put_pair(tmp_path / "walk")
    for number in range(3):
        write(tmp_path / "walk" / "visible" / f"v{number:06d}.png", 6)
    sequence = read_folder(tmp_path)[0]
    with caplog.at_level(logging.WARNING):
        assert [sequence.frames[k][0].shape for k in range(3)] == [(64, 32, 3)] * 3
    (line,) = caplog.messages
    assert "walk/visible: the orientation tag (EXIF 6) of its images is obeyed" in line


def test_size_from_the_header_is_that_of_the_turned_picture(tmp_path):
    assert image_size(write(tmp_path / "a.jpg", 6)) == (32, 64)
    assert image_size(write(tmp_path / "b.jpg", 1)) == (64, 32)

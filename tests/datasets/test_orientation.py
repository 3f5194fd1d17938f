"""Files with an orientation tag (EXIF): one rule for all formats and decoders."""

import logging

import numpy as np
import pytest
from oriented import LEVELS, put_oriented, stored
from trees import put_pair

from lib.datasets import image, orientation
from lib.datasets.image import read_image, read_stored
from lib.datasets.readers.folder import read_folder
from lib.datasets.readers.youtubebb import image_size

#: what a viewer shows of 2 rows "ab", "cd" of the file
TURNED = {1: "ab/cd", 2: "ba/dc", 3: "dc/ba", 4: "cd/ab", 5: "ac/bd", 6: "ca/db", 7: "db/ca", 8: "bd/ac"}
SUFFIXES = (".jpg", ".png", ".tif")


def shown(value):
    rows = [[LEVELS[letter] for letter in row] for row in TURNED[value].split("/")]
    return np.kron(rows, np.ones((16, 32) if value < 5 else (32, 16)))


@pytest.fixture(params=["jpeg4py", "OpenCV"])
def decoder(request, monkeypatch):
    """Both ways to read a JPEG file; the first where its library is installed."""
    if request.param == "OpenCV":
        monkeypatch.setattr(image, "_jpeg_decoder", lambda: lambda source, reduction: None)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", TURNED)
def test_pictures_are_turned_as_the_tag_says(tmp_path, decoder, suffix, value):
    path = put_oriented(tmp_path / f"a{suffix}", value)
    found = read_image(path)
    assert found.shape[:2] == shown(value).shape
    np.testing.assert_allclose(found[..., 1], shown(value), atol=6)
    for reduction in (2, 4):
        np.testing.assert_allclose(read_image(path, reduction)[..., 0], shown(value)[::reduction, ::reduction], atol=6)
    if suffix != ".jpg":
        np.testing.assert_array_equal(read_stored(path)[..., 0], stored())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_both_byte_orders_and_values_that_mean_nothing(tmp_path, suffix):
    np.testing.assert_allclose(read_image(put_oriented(tmp_path / f"a{suffix}", 6, ">"))[..., 0], shown(6), atol=6)
    for value in (0, 9, 65535):
        np.testing.assert_allclose(read_image(put_oriented(tmp_path / f"b{suffix}", value))[..., 0], stored(), atol=6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_tags_are_no_tags(tmp_path, suffix):
    whole = np.fromfile(put_oriented(tmp_path / f"a{suffix}", 6), np.uint8)
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
        put_oriented(tmp_path / "walk" / "visible" / f"v{number:06d}.png", 6)
    sequence = read_folder(tmp_path)[0]
    with caplog.at_level(logging.WARNING):
        assert [sequence.frames[k][0].shape for k in range(3)] == [(64, 32, 3)] * 3
    (line,) = caplog.messages
    assert "walk/visible: the orientation tag (EXIF 6) of its images is obeyed" in line


def test_size_from_the_header_is_that_of_the_turned_picture(tmp_path):
    assert image_size(put_oriented(tmp_path / "a.jpg", 6)) == (32, 64)
    assert image_size(put_oriented(tmp_path / "b.jpg", 1)) == (64, 32)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_decoders_have_nothing_to_say_about_a_hidden_tag(tmp_path, capfd, suffix):
    read_image(put_oriented(tmp_path / f"a{suffix}", 6))
    assert not capfd.readouterr().err

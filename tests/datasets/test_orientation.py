"""Files with an orientation tag (EXIF): one rule for all formats and decoders."""

import logging

import numpy as np
import pytest
from oriented import LEVELS, put_oriented, stored
from trees import put_pair

from lib.core.errors import InputError
from lib.core.frame import Streams
from lib.datasets import image, orientation
from lib.datasets.image import read_image, read_stored
from lib.datasets.readers.folder import read_folder
from lib.datasets.readers.youtubebb import image_size
from lib.datasets.sequence import pick_modalities
from lib.test.video.pairing import match_size

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


@pytest.mark.parametrize("stream", ["visible", "infrared"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("value", [value for value in TURNED if value > 1])
def test_a_tag_in_one_stream_alone_turns_that_stream(tmp_path, decoder, caplog, stream, suffix, value):
    """The other stream shows the same scene and has no tag."""
    orientation._say.cache_clear()
    upright = shown(value).astype(np.uint8)
    for other in ("visible", "infrared"):
        (tmp_path / "walk" / other).mkdir(parents=True)
        path = tmp_path / "walk" / other / f"{other[0]}000000{suffix}"
        put_oriented(path, *((value, "<") if other == stream else (1, "<", upright)))
    (tmp_path / "walk" / "visible.txt").write_text("1,2,8,9\n")
    sequence = read_folder(tmp_path)[0]
    found = pick_modalities(sequence.frames[0], Streams(2), "walk")
    np.testing.assert_allclose(found[0][..., 0], upright, atol=6)
    np.testing.assert_allclose(found[1][..., 0], upright, atol=6)
    (line,) = [message for message in caplog.messages if "EXIF" in message]
    assert f"walk/{stream}: the orientation tag (EXIF {value})" in line


@pytest.mark.parametrize("stream", ["visible", "infrared"])
def test_a_wrong_tag_in_one_stream_is_named_as_the_reason_for_swapped_sizes(tmp_path, stream):
    tagged = read_image(put_oriented(tmp_path / "a.png", 6))
    plain = read_image(put_oriented(tmp_path / "b.png", 1))
    images = [tagged, plain] if stream == "visible" else [plain, tagged]
    with pytest.raises(InputError, match=r"walk: visible image is \d+x\d+, .*; one of them is turned, .*EXIF"):
        pick_modalities(images, Streams(2), "walk")
    with pytest.raises(InputError, match=r"v is \d+x\d+, i is .*: one of them is turned, .*EXIF"):
        match_size(*images, ("v", "i"))


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

"""Image files that are damaged, or that state more than they hold."""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from trees import put_pair

from lib.cli import check as check_command
from lib.core.errors import InputError
from lib.datasets import image
from lib.datasets.damage import decoder_words, find_damage, jpeg_segments, stated_size
from lib.datasets.image import decode_image, read_image

ROOT = Path(__file__).parents[2]
WHOLE = "1,1,4,4\n2,1,4,4\n2,2,4,4\n"


def jpeg(seed=0, size=(120, 160), *options):
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), dtype=np.uint8), (0, 0), 2)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    return cv2.imencode(".jpg", picture, list(options))[1].tobytes()


def put_zeros(data, count=200, share=0.5):
    start = list(jpeg_segments(data))[-1].end
    place = start + int(share * (len(data) - start - count - 2))
    return data[:place] + bytes(count) + data[place + count :]


@pytest.fixture(params=["jpeg4py", "OpenCV"])
def decoder(request, monkeypatch):
    if request.param == "OpenCV":
        monkeypatch.setattr(image, "_jpeg_decoder", lambda: lambda source, reduction: None)


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.8, 1])
def test_zeros_inside_a_jpeg_are_found(share):
    for seed in range(8):
        data = jpeg(seed, (120, 160), cv2.IMWRITE_JPEG_QUALITY, 60 + 4 * seed)
        assert find_damage(data) == "" and "a hole of zeros" in find_damage(put_zeros(data, share=share))


def test_what_is_whole_is_not_called_damaged():
    flat = np.full((480, 640, 3), 17, np.uint8)
    for options in ([], [cv2.IMWRITE_JPEG_OPTIMIZE, 1], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
        options = options + [cv2.IMWRITE_JPEG_RST_INTERVAL, 4] * (not options)
        data = cv2.imencode(".jpg", flat, options)[1].tobytes()
        assert find_damage(data) == "" and find_damage(jpeg(1, (64, 64), *options)) == ""
    assert b"\0" * 64 in cv2.imencode(".jpg", flat, [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1].tobytes()
    grey = cv2.imencode(".jpg", flat[..., 0], [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1].tobytes()
    assert find_damage(grey) == find_damage(b"") == find_damage(b"\xff\xd8") == find_damage(b"GIF89a") == ""


def test_a_jpeg_that_breaks_off():
    data = jpeg()
    assert find_damage(data[: len(data) // 2]) == "its end is missing"
    middle = len(data) // 2
    assert find_damage(data[:middle] + b"\xff\x11" + data[middle:]).startswith("its data break off")


def test_random_bytes_in_headers_never_stop_a_reader():
    rng = np.random.default_rng(0)
    whole = [jpeg(), *(cv2.imencode(suffix, np.zeros((9, 9, 3), np.uint8))[1].tobytes() for suffix in (".png", ".bmp"))]
    for trial in range(300):
        data = bytearray(whole[trial % 3])
        for place in rng.integers(0, min(len(data), 700), rng.integers(1, 6)):
            data[place] = rng.integers(0, 256)
        data = bytes(data[: rng.integers(1, len(data))] if trial % 4 == 0 else data)
        find_damage(data)
        assert stated_size(data) is None or len(stated_size(data)) == 2
        try:
            assert decode_image(np.frombuffer(data, np.uint8), "a").dtype == np.uint8
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_a_small_file_that_states_billions_of_pixels(tmp_path, decoder, suffix):
    data = bytearray(cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    assert stated_size(bytes(data)) == (8, 8)
    if suffix == ".jpg":
        place = data.index(b"\xff\xc0")
        data[place + 5 : place + 9] = (65500).to_bytes(2, "big") * 2
    else:
        place, order = (16, "big") if suffix == ".png" else (18, "little")
        data[place : place + 8] = (65500).to_bytes(4, order) * 2
    (tmp_path / f"a{suffix}").write_bytes(data)
    begin = time.perf_counter()
    for reduction in (1, 8):
        with pytest.raises(InputError, match=rf"a\{suffix}: states 65500x65500 pixels, more than 134 million"):
            read_image(tmp_path / f"a{suffix}", reduction)
    assert time.perf_counter() - begin < 1


def test_check_dataset_names_damaged_images(tmp_path, monkeypatch, capsys):
    put_pair(tmp_path / "a", rows=WHOLE)
    for index, path in enumerate(sorted((tmp_path / "a" / "visible").iterdir())):
        path.unlink()
        data = jpeg(index, (8, 8)) if index == 0 else jpeg(index)
        noise = np.random.default_rng(index).integers(1, 255, 300, dtype=np.uint8).tobytes()
        middle = len(data) // 2
        data = [data, put_zeros(data), data[:middle] + noise + data[middle + 300 :]][index]
        path.with_suffix(".jpg").write_bytes(data)
    monkeypatch.setattr("sys.argv", ["check", "folder", "--data_dir", str(tmp_path), "--images", "all"])
    with pytest.raises(SystemExit):
        check_command.main()
    output = capsys.readouterr().out
    assert "2  images that are damaged or cannot be decoded" in output
    assert "v000001.jpg: image is damaged (a hole of zeros at byte" in output
    assert "v000002.jpg: image is damaged (" in output


def test_decoder_words_are_those_of_the_file_descriptor(capfd):
    with decoder_words() as words:
        assert words() == ""
        os.write(2, b"nothing\nCorrupt JPEG data: 3 extraneous bytes before marker 0xd9\nmore\n")
        assert words() == "Corrupt JPEG data: 3 extraneous bytes before marker 0xd9"
    os.write(2, b"shown\n")
    assert capfd.readouterr().err == "shown\n"


def test_a_missing_library_is_one_notice_whatever_threads_read(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    program = """
import logging, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import jpeg4py._cffi as cffi
def missing(*names):
    raise OSError("Could not load libjpeg-turbo library")
cffi.initialize = missing
from lib.datasets.image import read_image
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
with ThreadPoolExecutor(8) as pool:
    print([image.shape[0] for image in pool.map(read_image, Path(sys.argv[1]).iterdir())])
"""
    pytest.importorskip("jpeg4py")
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.count("cannot load libturbojpeg") == 1 and str([120] * 8) in done.stdout
    assert "Exception ignored" not in done.stderr and "Traceback" not in done.stderr

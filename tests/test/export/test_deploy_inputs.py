"""deploy/onnx_tracking reads recordings as the toolbox does: names, missing images, sizes, videos, wrong arguments."""

import importlib.util
import os
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from films import damage, put_avi, put_deep_video, put_gif
from oriented import put_oriented
from trees import put_images

from lib.core.errors import InputError
from lib.core.onnx_file import PACKAGES
from lib.datasets.image import read_image
from lib.datasets.layout import list_images
from lib.test.video.pairing import open_frames
from lib.test.video.video import write_image, write_video

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES), reason="needs the packages of [export]"
)


def both(deployed, *sources):
    """The frames of the script and of the toolbox, [H, W, 6] each."""
    alone = list(deployed.read_frames(sources))
    frames = open_frames(*sources)
    return alone, [np.concatenate(frames[k], axis=2) for k in range(len(frames))]


@pytest.mark.parametrize(
    "names",
    [
        ["img9.JPG", "img10.jpeg", "img100.png"],
        ["10-59-56.png", "11-00-00.png"],
        ["1689857631.93.png", "1689857632.01.png"],
        ["0001_640x480.png", "0002_640x480.png"],
        ["9v.png", "10v.PNG", "s2_00011.jpeg", "100.bmp"],
        ["v000103.jpg", "v000103 (1).jpg"],
        ["1.png", "01.png"],
        ["cover.png"],
        [],
    ],
)
def test_order_of_names_is_that_of_the_toolbox(deployed, tmp_path, names):
    put_images(tmp_path / "a", names)
    (tmp_path / "a" / "._img9.JPG").write_bytes(b"")
    (tmp_path / "a" / "notes.txt").write_bytes(b"")
    try:
        expected = [path.name for path in list_images(tmp_path / "a")]
    except InputError:
        with pytest.raises(deployed.InputError):
            deployed.numbering.list_images(tmp_path / "a")
    else:
        assert [path.name for path in deployed.numbering.list_images(tmp_path / "a")] == expected == names


@pytest.mark.parametrize(
    ("visible", "infrared"),
    [
        ([1, 2, 4, 5], [1, 3, 4, 5]),
        ([1, 2, 3], [4, 5, 6]),
        ([1, 2, 3, 4], [1, 2, 3]),
        ([3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        ([1, 2, 3], [1, 2, 3]),
    ],
)
def test_pairs_are_those_of_the_toolbox(deployed, tmp_path, visible, infrared, capsys):
    for stream, numbers in (("v", visible), ("i", infrared)):
        put_images(tmp_path / stream, [f"{stream}{number}.png" for number in numbers])
    alone, frames = both(deployed, tmp_path / "v", tmp_path / "i")
    np.testing.assert_array_equal(alone, frames)
    assert bool(capsys.readouterr().out) == (visible != infrared)


def test_numbers_that_have_nothing_in_common_are_refused(deployed, tmp_path):
    put_images(tmp_path / "v", ["1.png", "2.png", "3.png"])
    put_images(tmp_path / "i", ["11.png", "12.png"])
    with pytest.raises(deployed.InputError, match="0 numbers are in both"):
        list(deployed.read_frames([tmp_path / "v", tmp_path / "i"]))


def test_an_image_that_states_too_many_pixels_is_named(deployed, tmp_path):
    put_images(tmp_path / "large", ["1.png", "2.png"])
    content = bytearray((tmp_path / "large" / "1.png").read_bytes())
    content[16:24] = (65000).to_bytes(4, "big") * 2  # the size that the header states
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "large" / "1.png").write_bytes(content)
    with pytest.raises(
        deployed.InputError, match=r"1\.png: image cannot be decoded; .* larger than 134 million pixels"
    ):
        list(deployed.read_frames([tmp_path / "large"]))


def test_sizes_and_videos(deployed, tmp_path, capsys):
    rng = np.random.default_rng(0)
    pictures = [cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (64, 48)) for _ in range(6)]
    with write_video(tmp_path / "v.mp4", 30.0) as append, write_video(tmp_path / "i.mp4", 15.0) as late:
        for number, picture in enumerate(pictures):
            append(picture)
            write_image(tmp_path / "big" / f"{number}.png", picture)
            write_image(tmp_path / "half" / f"{number}.png", cv2.resize(picture, (32, 24)))
            write_image(tmp_path / "wide" / f"{number}.png", cv2.resize(picture, (64, 24)))
            if number % 2 == 0:
                late(picture)
    np.testing.assert_array_equal(*both(deployed, tmp_path / "big", tmp_path / "half"))
    assert capsys.readouterr().out.count("infrared is scaled to the visible size") == 1
    with pytest.raises(deployed.InputError, match="different aspect ratios"):
        list(deployed.read_frames([tmp_path / "big", tmp_path / "wide"]))
    alone, frames = both(deployed, tmp_path / "v.mp4", tmp_path / "i.mp4")
    np.testing.assert_array_equal(alone, frames)
    assert "nearest in time" in capsys.readouterr().out


def test_a_video_with_a_pause_is_paired_by_the_times_of_its_frames(deployed, tmp_path, capsys):
    paused = put_gif(tmp_path / "v.gif", list(range(10, 60, 10)), [10, 10, 100, 10, 10])
    steady = put_gif(tmp_path / "i.gif", list(range(20, 100, 5)), [10] * 16)
    for pair in ((paused, steady), (steady, paused)):
        alone, frames = both(deployed, *pair)
        np.testing.assert_array_equal(alone, frames)
        assert len(alone) > 4
        assert "nearest in time" in capsys.readouterr().out


def seconds(*moments):
    return [f"{1689857600 + moment:.3f}.png" for moment in moments]


def at(*times):
    return [f"2023-07-20T{time}.5.png" for time in times]


@pytest.mark.parametrize(
    ("visible", "infrared", "pairs"),
    [
        (seconds(0, 0.1, 0.2, 0.3), seconds(0.03, 0.13, 0.33, 0.43), [(0, 0), (1, 1), (2, 1), (3, 2)]),
        (seconds(0, 0.1, 0.2, 0.3, 0.4), seconds(0.21, 0.29, 0.52), [(2, 0), (3, 1), (4, 1)]),
        (seconds(0, 0.1, 0.2), seconds(1000.7, 1000.8, 1001.2), [(0, 0), (1, 1), (2, 1)]),
        (seconds(0, 0.1, 0.2, 0.3), seconds(0, 0.1, 0.3), [(0, 0), (1, 1), (3, 2)]),
        (at("10-59-56", "10-59-57", "11-00-00"), at("10-59-55", "10-59-58", "11-00-01"), [(0, 0), (1, 1), (2, 2)]),
        (["10-59-56.png", "10-59-58.png"], ["10-59-54.png", "10-59-57.png", "10-59-59.png"], [(0, 1), (1, 1)]),
        (
            ["1_1689857632010.png", "2_1689857632110.png"],
            ["1_1689857632510.png", "2_1689857632910.png"],
            [(0, 0), (1, 1)],
        ),
        (["cam1_01.png", "cam1_02.png", "cam1_03.png"], ["cam2_01.png", "cam2_03.png"], [(0, 0), (2, 1)]),
        (["1.05.png", "1.1.png"], ["1.05.png", "1.1.png"], [(0, 0), (1, 1)]),
        (["1.png", "2.png", "9.png"], ["30.png", "50.png", "70.png"], [(0, 0), (1, 1), (2, 2)]),
        (["1.png", "2.png", "3.png", "5.png"], ["3.png", "5.png", "6.png", "7.png"], [(2, 0), (3, 1)]),
    ],
)
def test_pairs_of_names_with_times_and_more_numbers(deployed, tmp_path, visible, infrared, pairs):
    put_images(tmp_path / "v", visible)
    put_images(tmp_path / "i", infrared)
    alone, frames = both(deployed, tmp_path / "v", tmp_path / "i")
    np.testing.assert_array_equal(alone, frames)
    assert [(frame[0, 0, 0] // 10, frame[0, 0, 3] // 10) for frame in alone] == pairs


def test_a_folder_named_by_times_beside_a_video(deployed, tmp_path):
    video = put_gif(tmp_path / "v.gif", list(range(0, 50, 5)), [10] * 10)
    for level, name in enumerate(seconds(0, 0.1, 0.2, 0.6, 0.7, 0.8)):
        write_image(tmp_path / "i" / name, np.full((24, 24, 3), 10 * level, np.uint8))
    alone, frames = both(deployed, video, tmp_path / "i")
    np.testing.assert_array_equal(alone, frames)
    assert [frame[0, 0, 3] // 10 for frame in alone] == [0, 1, 2, 2, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("lost", [[5, 6], [0, 1]])
def test_damaged_frames_keep_their_places(deployed, tmp_path, lost, capsys):
    whole = put_avi(tmp_path / "whole.avi", list(range(0, 200, 10)))
    torn = damage(put_avi(tmp_path / "torn.avi", list(range(0, 200, 10))), lost)
    for pair in ((whole, torn), (torn, whole)):
        alone, frames = both(deployed, *pair)
        np.testing.assert_array_equal(alone, frames)
    assert len(list(deployed.read_frames([torn]))) == len(alone) == 20
    assert capsys.readouterr().out.count("torn.avi: 2 of 20 frames are damaged") == 3


def test_videos_that_opencv_reads_in_part_are_refused(deployed, tmp_path):
    with pytest.raises(deployed.InputError, match="have no delays; convert it to mp4"):
        deployed.recordings.Video(put_gif(tmp_path / "v.gif", [10, 20, 30]))
    deep = put_deep_video(tmp_path / "v.mkv", np.full((3, 48, 64), 30000, np.uint16))
    with pytest.raises(deployed.InputError, match="16-bit values; convert it to a folder of 16-bit images"):
        deployed.recordings.Video(deep)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("value", [1, 3, 6, 7])
def test_orientation_tags_are_obeyed_as_in_the_toolbox(deployed, tmp_path, suffix, value):
    path = put_oriented(tmp_path / f"1{suffix}", value)
    found = deployed.images.read_image(path, None)[..., ::-1]
    np.testing.assert_allclose(found, read_image(path), atol=6)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_tag_is_said_and_named_where_it_swaps_the_sizes_of_one_stream(
    deployed, tmp_path, capsys, suffix, order
):
    for folder, value in (("v", 6), ("i", 1)):
        (tmp_path / folder).mkdir()
        for number in (1, 2):
            put_oriented(tmp_path / folder / f"{number}{suffix}", value, order)
    assert len(list(deployed.read_frames([tmp_path / "v"]))) == 2
    said = capsys.readouterr().out
    assert said.count("EXIF") == 1 and f"{tmp_path / 'v'}: the orientation tag (EXIF 6) of its images is obeyed" in said
    for sources in (("v", "i"), ("i", "v")):
        with pytest.raises(deployed.InputError, match="one of them is turned, perhaps by a wrong orientation tag"):
            list(deployed.read_frames([tmp_path / source for source in sources]))


def test_damaged_orientation_tags_are_none(deployed, tmp_path):
    rng = np.random.default_rng(0)
    for suffix in (".jpg", ".png", ".tif"):
        whole = np.fromfile(put_oriented(tmp_path / f"1{suffix}", 6), np.uint8)
        for _ in range(60):
            data = whole.copy()
            data[rng.integers(0, min(len(data), 120), 3)] = rng.integers(0, 256, 3)
            (tmp_path / "2.png").write_bytes(data[: rng.integers(0, len(data))].tobytes())
            assert 1 <= deployed.orientation.orientation_of(tmp_path / "2.png") <= 8


@pytest.fixture
def command(script, tmp_path, monkeypatch):
    """Runs the script with a tracker that keeps its box; the frames that it saw."""
    put_images(tmp_path / "v", ["1.png", "2.png", "3.png"])
    put_images(tmp_path / "i", ["1.png", "2.png", "3.png"])
    monkeypatch.chdir(tmp_path)

    def run(modalities, *words):
        seen = []

        def start(frame, box):
            seen.append(frame)
            return SimpleNamespace(box=np.array(box))

        def track(target, frame):
            seen.append(frame)
            return target.box

        own = {"stream": "visible", "missing_infrared": "grey copy"}
        tracker = SimpleNamespace(modalities=modalities, start=start, track=track, **own)
        monkeypatch.setattr(script, "OnnxTracker", lambda folder, providers: tracker)
        monkeypatch.setattr(sys, "argv", ["track_onnx.py", "graphs", *words])
        script.main()
        return seen

    return run


def test_one_camera_where_the_network_reads_two(command, tmp_path, capsys):
    seen = command(2, "--visible", "v", "--box", "-1,2,3,4")
    assert [frame.shape for frame in seen] == [
        (8, 8, 6)
    ] * 3 and "a grey copy of the visible one" in capsys.readouterr().out
    assert np.loadtxt(tmp_path / "boxes.txt").tolist() == [[-1, 2, 3, 4]] * 3
    seen = command(1, "--visible", "v", "--infrared", "i", "--box", "1,2,3,4")
    assert [frame.shape for frame in seen] == [(8, 8, 3)] * 3 and "i is left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--visible", "nowhere", "--box", "1,2,3,4"], "nowhere: no such folder or video file"),
        (["--visible", "v", "--box", "1,2,3"], "--box 1,2,3: expected x,y,w,h"),
        (["--visible", "v", "--box", "1,2,x,4"], "expected x,y,w,h"),
        (["--visible", "v", "--box", "1,2,0,4"], "above 0"),
        (["--visible", "boxes.txt", "--box", "1,2,3,4"], "boxes.txt: cannot be read as a video"),
        (["--visible", "broken", "--box", "1,2,3,4"], "2.png: image cannot be decoded"),
    ],
)
def test_wrong_inputs_are_one_line_and_keep_what_is_there(command, deployed, tmp_path, words, message):
    (tmp_path / "boxes.txt").write_text("years of work")
    put_images(tmp_path / "broken", ["1.png", "2.png"])
    (tmp_path / "broken" / "2.png").write_bytes(b"nothing")
    with pytest.raises(deployed.InputError, match=message) as error:
        command(1, *words)
    assert "\n" not in str(error.value) and (tmp_path / "boxes.txt").read_text() == "years of work"
    assert not list(tmp_path.glob(".*"))


def test_graphs_that_are_none(deployed, tmp_path):
    with pytest.raises(deployed.InputError, match=r"template\.onnx: does not exist; make it with"):
        deployed.OnnxTracker(tmp_path)
    for name in ("template.onnx", "search.onnx"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(deployed.InputError, match="not two graphs of tracking/export.py") as error:
        deployed.OnnxTracker(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_output_is_one_line_and_a_status(unbuffered):
    command = [sys.executable, ROOT / "deploy" / "track_onnx.py", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                              env={**os.environ, "PYTHONUNBUFFERED": unbuffered})  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1

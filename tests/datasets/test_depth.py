"""Images of more than 8 bits a value: one range for a whole stream, wherever it is read."""

import importlib
import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.cli import check as check_command
from lib.datasets import depth, layout
from lib.datasets.array import choose_pixels
from lib.datasets.depth import HIGH_BYTE, choose_range, limit_lines, scale
from lib.datasets.image import shrink
from lib.datasets.pack import pack, read_pack
from lib.datasets.readers.folder import read_folder
from lib.datasets.sequence import INFRARED, FileFrames

ROOT = Path(__file__).parents[2]
SIZE = (48, 64)
COLD, WARM = 29315, 30815  # hundredths of a kelvin, 20 to 35 degrees
FRAMES = 12


def grey_frames(count=FRAMES, low=0, high=255):
    """What a thermal camera sees: a smooth scene with a warm spot that moves."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.uniform(low, high, (6, 8)).astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    frames = np.stack([scene] * count)
    for index in range(count):
        frames[index, 20:28, 3 + 2 * index : 11 + 2 * index] = high
    frames[:, 2:6, 2:8] = low
    return frames


def raw_frames(low=COLD, high=WARM, **more):
    return (low + grey_frames(**more) / 255 * (high - low)).round().astype(np.uint16)


def put(folder, frames, suffix=".png"):
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:04d}{suffix}"), frame)
    return folder


def read_all(folder, modality=INFRARED):
    frames = FileFrames((layout.list_images(folder),), (modality,))
    return np.stack([frames[index][0] for index in range(len(frames))])


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(depth, "_found", {})


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize(("low", "high"), [(COLD, WARM), (0, 16383), (7000, 7300)])
def test_a_narrow_range_is_one_linear_scale_for_all_frames(tmp_path, caplog, suffix, low, high):
    found = read_all(put(tmp_path / "ir", raw_frames(low, high), suffix))
    assert found.dtype == np.uint8 and found.shape == (FRAMES, *SIZE, 3)
    assert np.abs(found[..., 1].astype(int) - grey_frames()).max() <= 1.5
    assert caplog.text.count("become 0 to 255") == 1 and f"{tmp_path / 'ir'}: 16-bit values {low} to" in caplog.text


def test_a_range_is_measured_once_and_not_on_the_frames_that_are_read(tmp_path, caplog):
    folder = put(tmp_path / "ir", raw_frames())
    frames = FileFrames((layout.list_images(folder),), (INFRARED,))
    last = frames[FRAMES - 1][0]
    depth._found.clear()  # as another process, which begins in another frame
    copy = pickle.loads(pickle.dumps(frames))
    assert np.array_equal(copy[3][0], read_all(folder)[3]) and np.array_equal(last, copy[FRAMES - 1][0])
    assert np.array_equal(frames.reduced(3, 2)[0], shrink(copy[3][0], 2))
    assert caplog.text.count("become 0 to 255") == 2


def test_files_that_use_all_of_16_bit_are_read_by_their_high_byte(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 1 << 16, (3, *SIZE), dtype=np.uint16)
    assert np.array_equal(read_all(put(tmp_path / "a", noise))[..., 0], noise >> 8)
    assert "the high byte is taken" in caplog.text
    dim = grey_frames(3, 20, 60).astype(np.uint16)  # 8-bit pictures that were widened, though their span is narrow
    for factor in (256, 257):
        assert np.array_equal(read_all(put(tmp_path / str(factor), dim * factor))[..., 0], dim)


def test_dead_pixels_lines_and_a_flat_frame_do_not_stretch_the_range(tmp_path):
    frames = raw_frames()
    rng = np.random.default_rng(1)
    for frame in frames:
        frame[rng.integers(0, SIZE[0], 20), rng.integers(0, SIZE[1], 20)] = 0
        frame[40, 50], frame[-1] = 65535, 0
    frames[4] = 0
    low, high = choose_range(frames)
    assert COLD - 20 <= low <= COLD + 20 and WARM - 20 <= high <= WARM + 20


def test_files_of_8_and_16_bit_in_one_folder(tmp_path):
    wide, narrow = raw_frames(), grey_frames().round().astype(np.uint8)
    found = read_all(put(tmp_path / "ir", [wide[k] if k % 3 else narrow[k] for k in range(FRAMES)]))
    assert np.array_equal(found[::3, ..., 0], narrow[::3])
    assert np.abs(found[..., 0].astype(int) - grey_frames()).max() <= 1.5
    late = put(tmp_path / "late", [*grey_frames(40).astype(np.uint8), wide[7]])  # not among the sampled frames
    (late / "0040.png").rename(late / "0001.png")
    assert np.abs(read_all(late)[1, ..., 0].astype(int) - grey_frames()[7]).max() <= 4


def test_a_damaged_frame_is_named_where_it_is_read(tmp_path):
    folder = put(tmp_path / "ir", raw_frames())
    (folder / "0000.png").write_bytes(b"")
    frames = FileFrames((layout.list_images(folder),), (INFRARED,))
    assert frames[5][0].std() > 30
    with pytest.raises(Exception, match=r"0000\.png: image cannot be decoded"):
        frames[0]


def test_degrees_as_floats(tmp_path, caplog):
    celsius = (raw_frames() / 100 - 273.15).astype(np.float32)
    celsius[:, 30, 30] = np.nan
    found = read_all(put(tmp_path / "ir", celsius, ".tiff"))[..., 0].astype(int)
    found[:, 30, 30] = grey_frames()[:, 30, 30]
    assert np.abs(found - grey_frames()).max() <= 1.5 and "float values 20" in caplog.text


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [(np.int32, 29315, 30815), (np.int16, -1000, 1500), (np.int8, -100, 100), (np.float64, -40, 5)],
)
def test_signed_numbers_and_other_floats(tmp_path, caplog, kind, low, high):
    """As thermal software exports them: hundredths of a kelvin or degree, degrees."""
    values = low + grey_frames() / 255 * (high - low)
    folder = put(tmp_path / "ir", (values if kind is np.float64 else values.round()).astype(kind), ".tif")
    found = read_all(folder)[..., 1].astype(int)
    assert np.abs(found - grey_frames()).max() <= 2 and f"float values {low} to {high}" in caplog.text
    script = deployed()
    span = script.images.measure_range(sorted(folder.iterdir()))
    shown = np.stack([script.images.read_image(path, span)[..., 1] for path in sorted(folder.iterdir())])
    np.testing.assert_array_equal(shown, found)


def deployed():
    """deploy/onnx_tracking."""
    pytest.importorskip("onnxruntime")
    sys.path.insert(0, str(ROOT / "deploy"))
    try:
        return importlib.import_module("onnx_tracking")
    finally:
        sys.path.remove(str(ROOT / "deploy"))


def test_packed_arrays_and_the_deployed_script_read_alike(tmp_path, capsys):
    folder = tmp_path / "set" / "walk"
    put(folder / "infrared", raw_frames())
    put(folder / "visible", [cv2.merge([frame] * 3) for frame in grey_frames().astype(np.uint8)])
    (folder / "visible.txt").write_text("3,20,8,8\n" * FRAMES)
    (sequence,) = read_folder(tmp_path / "set")
    expected = read_all(folder / "infrared")
    pack([sequence], tmp_path / "packed")
    (packed,) = read_pack(tmp_path / "packed")
    assert all(np.array_equal(packed.frames[k][1], expected[k]) for k in range(FRAMES))

    frames = list(deployed().read_frames([folder / "visible", folder / "infrared"]))
    assert all(np.array_equal(frames[k][..., 3:], expected[k]) for k in range(FRAMES))
    assert capsys.readouterr().out.count("become 0 to 255") == 1


def test_an_array_in_python_has_the_range_of_its_first_frame():
    frames = raw_frames()
    frames[0, 30, 30] = 65535
    picture = choose_pixels({INFRARED: frames[0]}).picture(frames[3], INFRARED)
    assert np.abs(picture[..., 0].astype(int) - grey_frames()[3]).max() <= 2
    assert choose_range([np.full(SIZE, 5, np.uint16)]) == (5, 6)
    assert scale(np.array([255, 256], np.uint16), HIGH_BYTE).tolist() == [0, 1]


def test_check_dataset_names_the_streams_and_finds_nothing_wrong(tmp_path, monkeypatch, capsys):
    for number in range(5):
        folder = tmp_path / "set" / f"s{number}"
        put(folder / "infrared", raw_frames())
        put(folder / "visible", grey_frames().astype(np.uint8))
        (folder / "visible.txt").write_text("3,20,8,8\n" * FRAMES)
    words = ["folder", "--data_dir", str(tmp_path / "set"), "--out", str(tmp_path / "o")]
    monkeypatch.setattr("sys.argv", ["check_dataset.py", *words])
    check_command.main()
    output = capsys.readouterr().out
    assert "5  streams of more than 8 bits (not a fault)" in output and "nothing is wrong" in output
    assert output.count("16-bit values 29315 to 30815") == 3 and "and 2 more" in output
    assert (tmp_path / "o").read_text().count("note\t") == 5


def test_a_worker_of_training_names_one_stream_of_thousands(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(depth.log, "filters", [])
    limit_lines(1)
    for name in "abc":
        read_all(put(tmp_path / name, raw_frames(count=2)))
    assert caplog.text.count("become 0 to 255") == 1

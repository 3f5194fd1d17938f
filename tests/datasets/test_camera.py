"""One camera absent: what a tracker sees, where results go."""

from pathlib import Path

import numpy as np
import pytest
from fake_model import moving_sequence
from trees import ROWS, put_pair

from lib.cli import test as test_command
from lib.core.errors import InputError
from lib.datasets.camera import keep_camera, replace_by_noise
from lib.datasets.readers.folder import read_folder
from lib.datasets.sequence import INFRARED, VISIBLE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("kept", "seen"), [(VISIBLE, [20, 0]), (INFRARED, [0, 20])])
def test_other_stream_is_black_and_its_files_are_not_read(tmp_path, kept, seen):
    put_pair(tmp_path / "a")
    sequence = read_folder(tmp_path)[0]
    one = keep_camera(sequence, kept, 2)
    other = INFRARED if kept == VISIBLE else VISIBLE
    for path in (tmp_path / "a" / other).iterdir():
        path.unlink()
    assert [image.mean() for image in one.frames[2]] == seen and one.frames.modalities == (VISIBLE, INFRARED)
    assert len(one) == 3 and np.array_equal(one.boxes, sequence.boxes)
    alone = keep_camera(sequence, kept, 1)
    assert [image.mean() for image in alone.frames[2]] == [20] and alone.frames.modalities == (kept,)


@pytest.mark.parametrize(("kept", "after"), [(VISIBLE, [20, 0]), (INFRARED, [0, 20])])
def test_camera_that_fails_is_seen_until_then(tmp_path, kept, after):
    put_pair(tmp_path / "a")
    (tmp_path / "a" / "infrared.txt").write_text(ROWS.replace("10,", "15,"))
    sequence = read_folder(tmp_path)[0]
    failing = keep_camera(sequence, kept, 2, since=2)
    assert [[image.mean() for image in failing.frames[index]] for index in range(3)] == [[0, 0], [10, 10], after]
    assert len(failing) == 3 and failing.frames.modalities == (VISIBLE, INFRARED)
    assert failing.boxes[0].tolist() == [10, 20, 30, 40], "both cameras see the first frame"
    assert keep_camera(sequence, kept, 1, since=2).frames.modalities == (kept,)
    with pytest.raises(InputError, match="a: has 3 frames, so no camera can fail at frame 4"):
        keep_camera(sequence, kept, 2, since=3)
    with pytest.raises(InputError, match="a: has only the visible stream, so no camera can fail at frame 3"):
        keep_camera(keep_camera(sequence, VISIBLE, 1), VISIBLE, 2, since=2)


@pytest.mark.parametrize("noisy", [VISIBLE, INFRARED])
def test_noise_stands_in_one_stream_alone_and_is_repeatable(tmp_path, noisy):
    put_pair(tmp_path / "a")
    (sequence,) = read_folder(tmp_path)
    frames, place = replace_by_noise(sequence, noisy).frames, (VISIBLE, INFRARED).index(noisy)
    first, again, later = frames[0], frames[0], frames[1]
    np.testing.assert_array_equal(first[1 - place], sequence.frames[0][1 - place])
    assert first[place].shape == sequence.frames[0][place].shape and first[place].std() > 50
    np.testing.assert_array_equal(first[place], again[place])
    assert (first[place] != later[place]).mean() > 0.9
    with pytest.raises(InputError, match="a: has only the visible stream, none to spare"):
        replace_by_noise(keep_camera(sequence, VISIBLE, 1), VISIBLE)


def test_infrared_alone_starts_from_its_own_boxes(tmp_path):
    put_pair(tmp_path / "a")
    (tmp_path / "a" / "infrared.txt").write_text(ROWS.replace("10,", "15,"))
    sequence = read_folder(tmp_path)[0]
    assert keep_camera(sequence, INFRARED, 2).boxes[0].tolist() == [15, 20, 30, 40]
    assert keep_camera(sequence, VISIBLE, 2).boxes[0].tolist() == [10, 20, 30, 40]


def test_camera_that_was_never_there_is_one_clear_line(tmp_path):
    put_pair(tmp_path / "a")
    only = keep_camera(read_folder(tmp_path)[0], VISIBLE, 1)
    with pytest.raises(InputError, match="a: has no infrared stream, only visible"):
        keep_camera(only, INFRARED, 2)


@pytest.mark.parametrize(
    ("modality", "fails_at", "folder"),
    [("both", None, "tiny"), ("infrared", None, "tiny_infrared"), ("infrared", 2, "tiny_infrared_fails_at2")],
)
def test_results_of_one_camera_lie_apart(tmp_path, monkeypatch, capsys, modality, fails_at, folder):
    (tmp_path / "w.safetensors").write_bytes(b"")
    jobs = []
    monkeypatch.setattr(test_command, "read_local", lambda kind: {"results_dir": str(tmp_path / "results")})
    monkeypatch.setattr(test_command, "named_sequences", lambda *_: [moving_sequence("a", length=3)])
    monkeypatch.setattr(test_command, "run_tracking", lambda job, devices: jobs.append(job))
    words = ["test.py", "iimf_track", "tiny", "--device", "cpu", "--checkpoint", str(tmp_path / "w.safetensors")]
    more = ["--fails_at", str(fails_at)] if fails_at else []
    monkeypatch.setattr("sys.argv", [*words, "--modality", modality, *more])
    test_command.main()
    assert (tmp_path / "results" / "iimf_track" / folder / "config.yaml").is_file()
    assert f"--tracker_param {folder} " in capsys.readouterr().out
    frames = jobs[0].sequences[0].frames
    visible, infrared = frames[(fails_at or 1) - 1]
    assert infrared.any() and visible.any() == (modality == "both")
    assert fails_at is None or frames[fails_at - 2][0].any(), "frames are counted from 1, as everywhere"
    for wrong in (["--fails_at", "2"], ["--fails_at", "1", "--modality", "visible"]):
        monkeypatch.setattr("sys.argv", [*words, *wrong])
        with pytest.raises(InputError, match=r"--fails_at \d: expected 2 or more, and --modality"):
            test_command.main()

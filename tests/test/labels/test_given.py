"""Sequences from videos whose targets have boxes."""

import logging

import cv2
import numpy as np
import pytest

from lib.cli import labels
from lib.core.errors import InputError
from lib.datasets.readers.folder import read_folder
from lib.test.labels import writing

FRAMES = 7


def write_video(folder):
    """Frame k, counted from 0, has the grey level 20 + 10 k."""
    folder.mkdir(parents=True)
    for frame in range(FRAMES):
        cv2.imwrite(str(folder / f"{frame + 1:03d}.png"), np.full((40, 50, 3), 20 + 10 * frame, np.uint8))
    return folder


def levels(sequence):
    return [round(float(sequence.frames[k][0].mean()), -1) for k in range(len(sequence.frames))]


def run(*words, out):
    labels.main([*map(str, words), "--out", str(out)])
    return read_folder(out)


def test_boxes_beside_a_video_are_its_target_from_the_first_to_the_last_frame_with_one(tmp_path):
    video = write_video(tmp_path / "bird")
    rows = ["0,0,0,0", "3,4,10,12", "0,0,0,0", "5,4,10,12", "6,4,10,12", "7,4,10,12", "0,0,0,0"]
    (tmp_path / "bird.txt").write_text("\n".join(rows))
    (sequence,) = run("--infrared", video, "--boxes", "beside", "--step", 2, out=tmp_path / "out")
    assert sequence.name == "bird" and sequence.frames.modalities == ("infrared",)
    assert sequence.boxes.tolist() == [[3, 4, 10, 12], [5, 4, 10, 12], [7, 4, 10, 12]]
    assert levels(sequence) == [30, 50, 70]


def write_table(path, *rows):
    path.write_text("\n".join(["sequence,video,frame,x,y,w,h", *rows]) + "\n")
    return path


def test_table_names_frames_from_1_and_many_sequences(tmp_path, caplog):
    videos = [write_video(tmp_path / name) for name in ("day", "night")]
    table = write_table(
        tmp_path / "boxes.csv",
        "n_2,night,2,1,2,10,11",
        "n_1,night,1,1,1,8,8",
        "n_2,night,4,3,2,10,11",
        "d,day,7,1,1,9,9",
    )
    found = {one.name: one for one in run("--visible", *videos, "--boxes", table, out=tmp_path / "out")}
    assert found.keys() == {"d", "n_1", "n_2"}
    assert levels(found["n_2"]) == [30, 50] and found["n_2"].boxes.tolist() == [[1, 2, 10, 11], [3, 2, 10, 11]]
    assert levels(found["d"]) == [80] and found["d"].frames.modalities == ("visible",)
    before = (tmp_path / "out" / "d" / "visible" / "00001v.jpg").stat().st_mtime_ns
    caplog.clear()
    with caplog.at_level(logging.INFO):
        run("--visible", *videos, "--boxes", table, out=tmp_path / "out")
    assert "0 sequences written, 3 were there" in caplog.text
    assert (tmp_path / "out" / "d" / "visible" / "00001v.jpg").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,night,8,1,1,9,9", "has 7 frames, but a has a box in frame 8; is it another video"),
        ("a,night,0,1,1,9,9", "line 2: expected a frame number from 1 and x,y,w,h"),
        ("a,night,1.5,1,1,9,9", "line 2: expected a frame number"),
        ("a,night,1,1,1,9,nan", "line 2: expected a frame number"),
        ("a,night,1,1,1,9", "line 2: expected a frame number"),
        ("../a,night,1,1,1,9,9", "cannot be the name of a file"),
        ("a,dusk,1,1,1,9,9", "has boxes of dusk, which is not given"),
        ("a,night,1,1,1,9,9\na,dusk,1,1,1,9,9", "a stands in two videos"),
    ],
)
def test_wrong_tables_are_named_and_nothing_is_written(row, message, tmp_path):
    video, table = write_video(tmp_path / "night"), write_table(tmp_path / "boxes.csv", row)
    with pytest.raises(InputError, match=message):
        run("--visible", video, "--boxes", table, out=tmp_path / "out")
    assert not list(tmp_path.rglob("*.jpg"))


def test_other_files_are_refused(tmp_path):
    video = write_video(tmp_path / "night")
    (tmp_path / "boxes.csv").write_text("sequence,frame\na,1\n")
    with pytest.raises(InputError, match="has no column video, x, y, w, h"):
        run("--visible", video, "--boxes", tmp_path / "boxes.csv", out=tmp_path / "out")
    with pytest.raises(InputError, match="cannot be read"):
        run("--visible", video, "--boxes", tmp_path / "none.csv", out=tmp_path / "out")
    with pytest.raises(InputError, match=r"night\.txt: does not exist; --boxes beside needs"):
        run("--visible", video, "--boxes", "beside", out=tmp_path / "out")


def test_an_interrupted_sequence_leaves_nothing(tmp_path, monkeypatch):
    video, table = write_video(tmp_path / "night"), write_table(tmp_path / "boxes.csv", "a,night,1,1,1,9,9")
    monkeypatch.setattr(writing, "_write_image", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("--visible", video, "--boxes", table, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""Result files of others, and results in the form that others want."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from full_disk import files_up_to

from lib.cli import transform
from lib.core.errors import InputError
from lib.test.results.dialect import corners_to_boxes, find_result, list_results, read_result, read_times
from lib.test.results.submission import FORMATS, Result, write_submission

BOXES = np.array([[10.25, 20, 30, 40], [-0.00001, 1.23456, 5, 6]])
SECONDS = np.array([0.5, 0.25])


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "10,20,30,40\n11,20,30,40\n",
        "10\t20\t30\t40\r\n11\t20\t30\t40\r\n\r\n",
        " 10  20 30 40\n 11 20 30 40",
        b"\xef\xbb\xbf10.0,20.0,30,4e1\n11.,20,30,40\n",
        "10,20,30,40\r11,20,30,40\r\n",
        "1.0e+01 20 40.0 20 40.0 60.0 10 60.0\n11 20 41 20 41 60 11 60\n",
        "9.6 20.4 40 20.4 40 60 9.6 60\n11 20 41 20 41 60 11 60\n",  # rounded: x 10, w 30.4 -> 30, h 39.6 -> 40
    ],
)
def test_every_dialect_is_one_result(tmp_path, content):
    assert read_result(put(tmp_path / "a.txt", content)).tolist() == [[10, 20, 30, 40], [11, 20, 30, 40]]


def test_lost_targets_and_codes_of_vot(tmp_path):
    lost = read_result(put(tmp_path / "a.txt", "1,2,3,4\nNaN,NaN,NaN,NaN\nnan,2,3,4\n"))
    assert np.isnan(lost).any(1).tolist() == [False, True, True]
    for row, box in (("1,2,3,4", [1, 2, 3, 4]), ("1,2,4,2,4,6,1,6", [1, 2, 3, 4])):
        vot = read_result(put(tmp_path / "a.txt", f"1\n{row}\n2\n0\n{row}\n"))
        assert np.isnan(vot).all(1).tolist() == [True, False, True, True, False] and vot[1].tolist() == box


@pytest.mark.parametrize(
    ("content", "line"),
    [("1,2,3\n1,2,3\n", 1), ("1,2,3,4\n1,2,3,4,5\n", 2), ("a b c d\n", 1), ("1\n2\n", 1), ("1,2,3,4\n\n1,2,3,4\n", 2)],
)
def test_what_is_no_result_is_named(tmp_path, content, line):
    with pytest.raises(InputError, match=rf"a\.txt: line {line}: expected 4 numbers"):
        read_result(put(tmp_path / "a.txt", content))
    with pytest.raises(InputError, match="a.txt: file is empty"):
        read_result(put(tmp_path / "a.txt", "\n"))


def test_turned_corners_become_their_hull():
    turned = np.array([[10, 0, 20.5, 10, 10, 20, 0, 10]])
    assert corners_to_boxes(turned).tolist() == [[0, 0, 20.5, 20]]
    assert corners_to_boxes(np.array([[0.5, 2.5, 3, 2.5, 3, 4, 0.5, 4]])).tolist() == [[1, 3, 3, 2]]  # halves go up


def test_files_are_found_by_any_convention(tmp_path):
    plain = put(tmp_path / "plain" / "car_1.txt", "1 2 3 4")
    put(tmp_path / "plain" / "blue_car_1.txt", "1 2 3 4")
    assert find_result(tmp_path / "plain", "car_1") == plain
    for name in ("carNig", "car_occ", "occ"):
        put(tmp_path / "MTNet" / f"MTNet_{name}.txt", "1 2 3 4")
        put(tmp_path / "got" / name / f"{name}_001.txt", "1 2 3 4")
    assert find_result(tmp_path / "MTNet", "occ") == tmp_path / "MTNet" / "MTNet_occ.txt"
    assert find_result(tmp_path / "got", "occ") == tmp_path / "got" / "occ" / "occ_001.txt"
    assert find_result(tmp_path / "MTNet", "car") is None and find_result(tmp_path / "nowhere", "car") is None


def test_a_missing_sequence_is_not_taken_from_a_longer_name(tmp_path):
    for name in ("ab_bolster", "walking"):
        put(tmp_path / f"{name}.txt", "1 2 3 4")
    assert find_result(tmp_path, "bolster") is None


def test_folders_are_listed_by_sequence(tmp_path):
    for name in ("b", "a"):
        put(tmp_path / "MTNet" / f"MTNet_{name}.txt", "1 2 3 4")
        put(tmp_path / "MTNet" / f"MTNet_{name}_time.txt", "0.5")
        put(tmp_path / "MTNet" / f"MTNet_{name}_confidence.txt", "0.5\t1")
        put(tmp_path / "got" / name / f"{name}_001.txt", "1 2 3 4")
        put(tmp_path / "got" / name / f"{name}_time.txt", "0.25")
    assert list(list_results(tmp_path / "MTNet")) == list(list_results(tmp_path / "got")) == ["a", "b"]
    assert read_times(list_results(tmp_path / "MTNet")["a"], "a").tolist() == [0.5]
    assert read_times(list_results(tmp_path / "got")["a"], "a").tolist() == [0.25]
    with pytest.raises(InputError, match="no results"):
        list_results(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        list_results(tmp_path / "nowhere")


EXPECTED = {
    "family": {"a.txt": "10\t20\t30\t40\n0\t1\t5\t6\n", "a_time.txt": "0.50000000\n0.25000000\n"},
    "lasher": {"a.txt": "10.25,20,30,40\n0,1.2346,5,6\n"},
    "rgbt234": {"a.txt": "10.25\t20\t30\t40\n0\t1.2346\t5\t6\n"},
    "vot": {
        "baseline/a/a_001.txt": "1\n0,1.2346,5,6\n",
        "baseline/a/a_001_time.value": "0.50000000\n0.25000000\n",
    },
}


@pytest.mark.parametrize("form", EXPECTED)
def test_formats_of_kits(tmp_path, form):
    assert write_submission(form, [Result("a", BOXES, SECONDS)], tmp_path / "out") == 1
    files = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*.*")}
    assert {name: path.read_text() for name, path in files.items()} == EXPECTED[form]
    back = read_result(next(path for name, path in files.items() if name.endswith(("a.txt", "_001.txt"))))
    tolerance = 1 if form == "family" else 1e-4
    np.testing.assert_allclose(back[1], BOXES[1], atol=tolerance)


def test_got10k_zip_is_whole_or_refused(tmp_path):
    results = [Result(f"GOT-10k_Test_{index:06d}", BOXES, SECONDS) for index in range(1, 181)]
    write_submission("got10k", results, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 360
        first = "GOT-10k_Test_000001/GOT-10k_Test_000001"
        assert archive.read(f"{first}_001.txt").decode() == "10.25,20,30,40\n0,1.2346,5,6\n"
        assert archive.read(f"{first}_time.txt").decode() == "0.50000000\n0.25000000\n"
    with pytest.raises(InputError, match="1 of 180 sequences are missing, first GOT-10k_Test_000180"):
        write_submission("got10k", results[:-1], tmp_path / "other.zip")
    with pytest.raises(InputError, match="stray is not a sequence"):
        write_submission("got10k", [*results, Result("stray", BOXES, SECONDS)], tmp_path / "other.zip")
    with pytest.raises(InputError, match="needs times: 1 results"):
        write_submission("got10k", [*results[1:], results[0]._replace(seconds=None)], tmp_path / "other.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.zip"]


def test_trackingnet_zip_is_flat_and_counted(tmp_path):
    results = [Result(f"v_{index}", BOXES) for index in range(511)]
    write_submission("trackingnet", results, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 511 and archive.read("v_9.txt").decode() == EXPECTED["lasher"]["a.txt"]
    with pytest.raises(InputError, match="expects 511 sequences, 510 are there"):
        write_submission("trackingnet", results[1:], tmp_path / "other.zip")


def test_a_submission_that_fails_leaves_nothing(tmp_path):
    long = Result("b", np.ones((9000, 4)), np.ones(9000))
    for out in (tmp_path / "out", tmp_path / "out.zip"):
        with files_up_to(500), pytest.raises(OSError, match="File too large") as caught:
            write_submission("family", [Result("a", BOXES, SECONDS), long], out)
        assert str(out) in str(caught.value.filename) and not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_nan_stays(tmp_path):
    lost = Result("a", np.array([[1, 2, 3, 4], [np.nan] * 4]))
    write_submission("lasher", [lost], tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").read_text() == "1,2,3,4\nNaN,NaN,NaN,NaN\n"
    with pytest.raises(InputError, match="exists and is not empty"):
        write_submission("lasher", [lost], tmp_path / "out")
    with pytest.raises(InputError, match="has NaN"):
        write_submission("family", [lost], tmp_path / "family")
    with pytest.raises(InputError, match="format 'lashr' is unknown; did you mean lasher"):
        write_submission("lashr", [lost], tmp_path / "new")


def run_transform(monkeypatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["transform_results", *map(str, words)])
    transform.main()


def test_the_command_turns_any_folder(tmp_path, monkeypatch, capsys):
    put(tmp_path / "MTNet" / "MTNet_carNig.txt", "1 2 4 2 4 6 1 6\n")
    put(tmp_path / "run" / "ostrack" / "best" / "a.txt", "1\t2\t3\t4\n")
    put(tmp_path / "run" / "ostrack" / "best" / "a_time.txt", "0.5\n")
    run_transform(monkeypatch, "--results", tmp_path / "MTNet", "--format", "lasher", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "carNig.txt").read_text() == "1,2,3,4\n"
    assert "1 sequence as lasher wants them" in capsys.readouterr().out
    own = ["--tracker_name", "ostrack", "--tracker_param", "best", "--results_dir", tmp_path / "run"]
    run_transform(monkeypatch, *own, "--format", "vot", "--out", tmp_path / "vot")
    assert (tmp_path / "vot" / "baseline" / "a" / "a_001_time.value").read_text() == "0.50000000\n"
    put(tmp_path / "run" / "ostrack" / "best" / "a_time.txt", "0.5\n0.5\n")
    with pytest.raises(InputError, match="1 boxes and 2 times"):
        run_transform(monkeypatch, *own, "--format", "vot", "--out", tmp_path / "other")
    with pytest.raises(InputError, match="either --results DIR, or --tracker_name"):
        run_transform(monkeypatch, *own, "--results", tmp_path, "--format", "vot", "--out", tmp_path / "other")


def test_every_format_is_a_choice():
    assert set(FORMATS) == {"family", "lasher", "rgbt234", "got10k", "trackingnet", "vot"}

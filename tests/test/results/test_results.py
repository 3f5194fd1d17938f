"""Result files: layout, precision, and what is left after an interruption."""

import errno
import os

import numpy as np
import pytest

from lib.core.errors import InputError, run
from lib.datasets.sequence import FileFrames, Sequence
from lib.test.results import files as results
from lib.test.results.files import (
    check_names,
    confidence_path,
    finished,
    read_both_seconds,
    read_result,
    read_seconds,
    result_folder,
    result_paths,
    write_result,
)

BOXES = np.array([[1.23456, 2, 30.5, 40], [-0.00001, -3.99, 1e4 + 1 / 3, 7]])
SECONDS = np.array([0.5, 0.0123456])


def sequence(frames: int = 2) -> Sequence:
    return Sequence("walk", FileFrames((("",) * frames,)), BOXES)


def test_layout_and_round_trip(tmp_path):
    folder = result_folder(tmp_path, "tbsi_track", "tiny")
    assert folder == tmp_path / "tbsi_track" / "tiny"
    write_result(folder, "girl'sbag", BOXES, SECONDS)
    boxes_path, seconds_path = result_paths(folder, "girl'sbag")
    assert boxes_path.read_text() == "1.2346\t2.0000\t30.5000\t40.0000\n0.0000\t-3.9900\t10000.3333\t7.0000\n"
    assert seconds_path.read_text() == "0.500000\n0.012346\n"
    np.testing.assert_allclose(read_result(boxes_path), BOXES, rtol=0, atol=5.001e-5)
    np.testing.assert_allclose(read_seconds(seconds_path), SECONDS, rtol=0, atol=5.001e-7)
    write_result(folder, "again", read_result(boxes_path), SECONDS)
    assert (folder / "again.txt").read_text() == boxes_path.read_text()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["again.txt", "again_time.txt", "girl'sbag.txt", "girl'sbag_time.txt"]
    )


def test_seconds_of_the_tracker_alone_and_of_everything(tmp_path):
    both = np.stack([SECONDS, 2 * SECONDS], 1)
    write_result(tmp_path, "walk", BOXES, both)
    assert (tmp_path / "walk_time.txt").read_text() == "0.500000\t1.000000\n0.012346\t0.024691\n"
    np.testing.assert_allclose(read_both_seconds(tmp_path / "walk_time.txt"), both, rtol=0, atol=5.001e-7)
    np.testing.assert_allclose(read_seconds(tmp_path / "walk_time.txt"), SECONDS, rtol=0, atol=5.001e-7)
    assert finished(tmp_path, sequence())
    write_result(tmp_path, "walk", BOXES, SECONDS)
    assert np.isnan(read_both_seconds(tmp_path / "walk_time.txt")[:, 1]).all()
    with pytest.raises(ValueError, match="do not match"):
        write_result(tmp_path, "walk", BOXES, both[:1])


def test_confidence_lies_beside_the_boxes_where_the_tracker_has_it(tmp_path):
    sure = np.array([[1, 1], [0.1234567, 0]])
    write_result(tmp_path, "walk", BOXES, SECONDS, sure)
    assert confidence_path(tmp_path, "walk").read_text() == "1.000000\t1\n0.123457\t0\n"
    assert finished(tmp_path, sequence())
    confidence_path(tmp_path, "walk").unlink()  # as results of the family
    assert finished(tmp_path, sequence())


@pytest.mark.parametrize("sure", [np.ones((1, 2)), np.ones(2), np.full((2, 2), np.nan)])
def test_broken_confidence_is_never_written(tmp_path, sure):
    with pytest.raises(ValueError, match=r"walk: confidence .* is not \[2, 2\] finite numbers"):
        write_result(tmp_path, "walk", BOXES, SECONDS, sure)
    assert not list(tmp_path.iterdir())


def test_integer_boxes_are_cut_towards_zero(tmp_path):
    write_result(tmp_path, "walk", BOXES, SECONDS, integer_boxes=True)
    assert (tmp_path / "walk.txt").read_text() == "1\t2\t30\t40\n0\t-3\t10000\t7\n"


@pytest.mark.parametrize("text", ["1,2,3,4\n", "1\t2\t3\t4\r\n", "1 2 3 4"])
def test_results_of_others_are_read(tmp_path, text):
    (tmp_path / "walk.txt").write_bytes(text.encode())
    assert read_result(tmp_path / "walk.txt").tolist() == [[1, 2, 3, 4]]


def test_finished_needs_both_files_and_all_rows(tmp_path, caplog):
    assert not finished(tmp_path, sequence())
    write_result(tmp_path, "walk", BOXES, SECONDS)
    assert finished(tmp_path, sequence()) and not caplog.text
    assert not finished(tmp_path, sequence(frames=3))
    assert "2 boxes and 2 seconds for 3 frames" in caplog.text
    for count in (1, 3):
        (tmp_path / "walk_time.txt").write_text("0.1\n" * count)
        assert not finished(tmp_path, sequence())
        assert f"2 boxes and {count} seconds for 2 frames" in caplog.text
    (tmp_path / "walk_time.txt").unlink()
    assert not finished(tmp_path, sequence())


ZEROS = "0\t0\t0\t0\n" * 2


@pytest.mark.parametrize(("ending", "text"), [
    (".txt", ""), (".txt", "\0" * 40), (".txt", ZEROS), (".txt", "1\t2\t3\t4\n\0\0\0"), ("_time.txt", "\n"),
    ("_time.txt", "0.1\n\0\0"), (".txt", "1\t2\t3\t4\n"), ("_confidence.txt", ""), ("_confidence.txt", "1\t1\n"),
])  # fmt: skip
def test_what_a_power_failure_leaves_is_not_finished(tmp_path, caplog, ending, text):
    write_result(tmp_path, "walk", BOXES, SECONDS, np.ones((2, 2)))
    assert finished(tmp_path, sequence())
    (tmp_path / f"walk{ending}").write_text(text)
    assert not finished(tmp_path, sequence())
    assert f"walk{ending}: " in caplog.text and "this result is incomplete and will be replaced" in caplog.text


def test_a_malformed_result_is_nothing_to_replace(tmp_path):
    write_result(tmp_path, "walk", BOXES, SECONDS)
    (tmp_path / "walk.txt").write_text("my notes\n")
    with pytest.raises(InputError, match=r"walk\.txt: line 1: expected 4 numbers"):
        finished(tmp_path, sequence())


@pytest.mark.parametrize("other", ["walk_time", "walk_confidence"])
def test_names_that_would_share_a_file_are_refused(tmp_path, other):
    check_names(["walk", "time", "walk_times"], tmp_path)
    with pytest.raises(InputError, match=f"walk and {other}: both sequences would write {other}.txt; rename"):
        check_names(["a", other, "walk"], tmp_path)


def test_names_that_differ_in_case_are_refused_where_they_are_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.core.names.ignores_case", lambda folder: folder == tmp_path)
    with pytest.raises(InputError, match=r"Walk and walk: would be one file in .*; rename the folder"):
        check_names(["walk", "b", "Walk"], tmp_path)
    check_names(["walk", "b", "Walk"], tmp_path / "other")


@pytest.mark.parametrize(("boxes", "word"), [(BOXES[:1], "do not match"), (BOXES * [1, np.nan, 1, 1], "frame 1")])
def test_broken_results_are_never_written(tmp_path, boxes, word):
    with pytest.raises(ValueError, match=word):
        write_result(tmp_path, "walk", boxes, SECONDS)
    assert not list(tmp_path.iterdir())


def half_then(error: BaseException, only: str = ""):
    """A `savetxt` that writes a part of the file named like `only` and fails."""
    whole = np.savetxt

    def savetxt(path, rows, **options):
        if only not in path.name:
            return whole(path, rows, **options)
        path.write_text("1.0\t2")
        raise error

    return savetxt


@pytest.mark.parametrize("during", ["walk_time.txt", "walk.txt"])
def test_ctrl_c_during_the_write_leaves_no_half_result(tmp_path, monkeypatch, during):
    monkeypatch.setattr(results.np, "savetxt", half_then(KeyboardInterrupt(), during))
    with pytest.raises(KeyboardInterrupt):
        write_result(tmp_path, "walk", BOXES, SECONDS)
    assert not (tmp_path / "walk.txt").exists()
    assert not [path for path in tmp_path.iterdir() if path.name != "walk_time.txt"]
    assert not finished(tmp_path, sequence())
    monkeypatch.undo()
    write_result(tmp_path, "walk", BOXES, SECONDS)
    assert finished(tmp_path, sequence())


def test_full_disk_is_one_line_and_keeps_the_old_file(tmp_path, monkeypatch, capsys):
    write_result(tmp_path, "walk", BOXES, SECONDS)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(results.np, "savetxt", half_then(full))
    with pytest.raises(InputError, match=r"walk_time\.txt: cannot be written: No space left on device"):
        write_result(tmp_path, "walk", BOXES + 1, SECONDS)
    with pytest.raises(SystemExit) as stopped:
        run(lambda: write_result(tmp_path, "walk", BOXES + 1, SECONDS))
    assert stopped.value.code == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

"""The scoring and comparison commands, on small trees made here."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trees import SQUARE_FRAMES, put_moving_square

from lib.cli import score
from lib.core.errors import InputError
from lib.datasets.sequence import VISIBLE, FileFrames, Sequence
from lib.test.analysis import sources
from lib.test.analysis.leaderboard import select_scored
from lib.test.results.files import write_result


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run an entry point in this process; returns what it printed."""

    def run_script(name: str, *arguments: object) -> str:
        local = {"results_dir": str(tmp_path / "results"), "lasher_dir": str(tmp_path / "lasher")}
        monkeypatch.setattr(score, "read_local", lambda part: local, raising=False)
        monkeypatch.setattr(sources, "read_local", lambda part: local)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        score.main()
        return capsys.readouterr().out

    return run_script


@pytest.fixture
def lasher(tmp_path):
    """Two LasHeR sequences, a tracker that is perfect on one and 8 pixels off on the other; 25 frames per second."""
    for name, shift in (("a", 0), ("b'c", 8)):
        boxes = put_moving_square(tmp_path / "lasher" / "testingset" / name)
        seconds = np.array([5.0] + [0.04] * (SQUARE_FRAMES - 1))
        write_result(tmp_path / "results" / "tbsi_track" / "tiny", name, boxes + [shift, 0, 0, 0], seconds)
    return tmp_path


def cells(output: str, first: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith(first))
    return line.removeprefix(first).split()


def percents(*figures: float) -> list[str]:
    return [f"{100 * figure:.2f}" for figure in figures]


def test_table_of_a_tracker(command, lasher):
    words = ["--tracker_name", "tbsi_track", "--tracker_param", "tiny", "--dataset_name", "lasher_test"]
    files = ["--csv", lasher / "scores.csv", "--sequence_csv", lasher / "sequences.csv"]
    output = command("analysis_results", *words, "--per_sequence", *files)
    # b'c: 8 of 16 pixels off is half a size; overlap 1/3 beats 7 of 21 thresholds, the first frame (given) 20 of 21
    success, precision = (20 / 21 + (5 * 7 + 20) / 6 / 21) / 2, (1 + 1 / 6) / 2
    assert cells(output, "tbsi_track/tiny") == [*percents(1, precision, success), "25.0", "2"]
    assert "2 sequences, lasher rules" in output
    by_sequence = [cells(part, "b'c") for part in output.split("by sequence")[1:]]
    assert by_sequence == [percents(55 / 126), ["100.00"], ["16.67"]]
    rows = read_csv(lasher / "scores.csv")
    assert rows[0] == ["tracker", "dataset", "metric", "value"]
    assert [row[:3] for row in rows[1:]] == [["tbsi_track/tiny", "lasher_test", name] for name in ("PR", "NPR", "SR")]
    assert [float(row[3]) for row in rows[1:]] == pytest.approx([1, precision, success], abs=1e-6)
    rows = read_csv(lasher / "sequences.csv")
    assert rows[0] == ["tracker", "dataset", "sequence", "metric", "value"] and len(rows) == 1 + 2 * 3
    assert rows[-1][2:4] == ["b'c", "SR"] and float(rows[-1][4]) == pytest.approx(55 / 126, abs=1e-6)


def read_csv(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_several_trackers_and_any_folder(command, lasher, caplog):
    write_result(
        lasher / "results" / "tbsi_track" / "tiny_007", "a", np.ones((SQUARE_FRAMES, 4)), np.ones(SQUARE_FRAMES)
    )
    words = ["--tracker_name", "tbsi_track", "--tracker_param", "tiny", "tiny_007", "--results"]
    output = command("analysis_results", *words, f"other={lasher}/results/tbsi_track/tiny", "--allow_missing")
    assert [cells(output, name)[-1] for name in ("tbsi_track/tiny ", "tbsi_track/tiny_007", "other")] == ["2", "1", "2"]
    assert "1 of 2 results are missing: b'c; tbsi_track/tiny_007 is scored on the other 1 only" in caplog.text


def test_missing_results_say_how_to_make_them(command, lasher):
    (lasher / "results" / "tbsi_track" / "tiny" / "a.txt").unlink()
    words = ["--tracker_name", "tbsi_track", "--tracker_param", "tiny", "--dataset_name", "lasher_test"]
    with pytest.raises(InputError) as error:
        command("analysis_results", *words)
    message = str(error.value)
    assert "1 of 2 results are missing: a;" in message and "\n" not in message
    assert "python tracking/test.py tbsi_track tiny --dataset_name lasher_test" in message
    assert cells(command("analysis_results", *words, "--allow_missing"), "tbsi_track/tiny")[-1] == "1"


def test_speed_with_reading_where_the_files_tell(command, lasher):
    folder = lasher / "results" / "tbsi_track" / "tiny"
    for name in ("a", "b'c"):
        boxes = np.loadtxt(folder / f"{name}.txt")
        write_result(folder, name, boxes, np.tile([0.04, 0.1], (SQUARE_FRAMES, 1)))
    output = command("analysis_results", "--results", f"x={folder}")
    assert "frames/s  with reading" in output and cells(output, "x")[-3:] == ["25.0", "10.0", "2"]


def test_several_runs_are_averaged(command, lasher):
    folder = lasher / "results" / "tbsi_track"
    (folder / "tiny").rename(folder / "tiny_001")
    for name in ("a", "b'c"):
        write_result(folder / "tiny_002", name, np.loadtxt(folder / "tiny_001" / "a.txt"), np.full(SQUARE_FRAMES, 0.02))
    output = command("analysis_results", "--tracker_name", "tbsi_track", "--tracker_param", "tiny", "--runid", 1, 2)
    assert " ".join(cells(output, "tbsi_track/tiny")).startswith(f"100.00 ± 0.00 {100 * (7 / 12 + 1) / 2:.2f} ± 29.46")
    assert "tbsi_track/tiny: mean of 2 runs, ± their standard deviation" in output


def test_runid_names_another_folder(command, lasher):
    (lasher / "results" / "tbsi_track" / "tiny").rename(lasher / "results" / "tbsi_track" / "tiny_012")
    output = command("analysis_results", "--tracker_name", "tbsi_track", "--tracker_param", "tiny", "--runid", 12)
    assert cells(output, "tbsi_track/tiny_012")[0] == "100.00"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to score"),
        (["--tracker_name", "tbsi_track"], "go together"),
        (["--tracker_name", "a", "b", "--tracker_param", "x", "y", "z"], "2 --tracker_name for 3"),
        (["--results", "nonsense"], "--results nonsense: expected NAME=DIR"),
        (["--results", "x=.", "x=."], "x is given twice"),
        (["--results", "x=.", "--dataset_name", "folder"], "needs --data_dir"),
        (["--results", "x=.", "--data_dir", "."], r"^\.: no LasHeR testing set here"),
        (
            ["--results", "x=.", "--data_dir", ".", "--dataset_name", "gtot", "lasher_test"],
            "one folder for 2 data sets",
        ),
        (["--results", "x=.", "--dataset_name", "lasher_tset"], "did you mean lasher_test"),
        (["--results", "x=.", "--annotations", "nowhere"], "--annotations nowhere"),
        (["--results", "x=.", "--annotations", ".", "."], "--annotations: 2 folders for 1 data sets"),
        (["--results", "OK", "--reference", "y"], "--reference y: no such tracker on lasher_test; there are x"),
        (["--results", "OK", "--per_attribute"], "comes without attributes; name them: --attributes DIR"),
        (["--results", "OK", "--attributes", "nowhere"], "--attributes nowhere: no <sequence>.txt"),
    ],
)
def test_wrong_command_lines(command, lasher, words, message):
    words = [f"x={lasher}/results/tbsi_track/tiny" if word == "OK" else word for word in words]
    with pytest.raises(InputError, match=message) as error:
        command("analysis_results", *words, "--significance")
    assert "\n" not in str(error.value)


def test_short_results_are_named(command, lasher):
    path = lasher / "results" / "tbsi_track" / "tiny" / "a.txt"
    path.write_text("1\t2\t3\t4\n")
    with pytest.raises(InputError, match=r"a\.txt: 1 result rows for 6 annotated frames"):
        command("analysis_results", "--results", f"x={path.parent}")


def test_folder_scores_by_plain_rules_what_is_annotated(command, tmp_path, caplog):
    boxes = put_moving_square(tmp_path / "data" / "a", infrared=False)
    put_moving_square(tmp_path / "data" / "start_only", infrared=False, rows=1)
    write_result(tmp_path / "mine", "a", boxes, np.ones(SQUARE_FRAMES))
    words = ["--dataset_name", "folder", "--data_dir", tmp_path / "data", "--results", f"mine={tmp_path / 'mine'}"]
    output = command("analysis_results", *words)
    assert "1 sequence, plain rules" in output and cells(output, "mine")[0] == "100.00"
    assert "start_only" in caplog.text


def test_annotation_files_alone_suffice(command, tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "a.txt").write_text("1,1,8,8\n2,1,8,8\n")
    (tmp_path / "a.txt").write_text("1 1 8 8\n2 1 8 8\n")
    output = command("analysis_results", "--annotations", tmp_path / "truth", "--results", f"x={tmp_path}")
    assert cells(output, "x") == ["100.00", "100.00", "95.24", "-", "1"]


def test_only_what_is_wholly_hidden_counts_as_absent():
    """Half a target is still one to be found."""
    boxes = np.tile([1.0, 2, 30, 40], (4, 1))
    shares = np.array([1.0, 0.5, 0.01, 0.0])
    walk = Sequence("walk", FileFrames(([Path("1.png")] * 4,), (VISIBLE,)), boxes, visible_share=shares)
    (scored,) = select_scored([walk])
    assert scored.truth.absent.tolist() == [False, False, False, True]
    (known,) = select_scored([replace(walk, visible_share=None)])
    assert known.truth.absent is None

"""The benchmark of scoring: what it measures, how runs become figures, what it says about failures."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lib.cli import benchmark
from lib.core.errors import InputError
from lib.core.measure.machine import describe_machine, usable_cores
from lib.core.paths import ROOT
from lib.core.table import format_text
from lib.test.analysis.leaderboard import evaluate
from lib.test.analysis.sources import read_scored
from lib.test.benchmarks.scoring import ScoringTask, benchmark_table, measure_scoring, summarise, synthetic_task
from lib.test.metrics import LASHER

# What the toolbox relies on of the package rgbt, with figures that a test can know
DATASET = """
import numpy as np
class BaseRGBTDataet:
    def __init__(self, gt_path, seqs, bbox_type):
        assert bbox_type == "ltwh"
        self.rows = sum(len(np.loadtxt(f"{gt_path}/{name}.txt", delimiter=",")) for name in seqs)
class TrackerResult:
    def __init__(self, tracker_name, path, seqs, prefix, bbox_type):
        assert (prefix, bbox_type) == ("", "ltwh")
        self.rows = sum(len(np.loadtxt(f"{path}/{name}.txt", delimiter=",")) for name in seqs)
"""
METRICS = """
import time
class PR_LasHeR:
    def __call__(self, dataset, result, seqs):
        time.sleep(0.05)
        assert dataset.rows == result.rows
        return 0.25, []
class NPR(PR_LasHeR): pass
class SR_LasHeR(PR_LasHeR): pass
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return synthetic_task(tmp_path_factory.mktemp("made"), trackers=2, sequences=3, frames=30)


@pytest.fixture
def rival(tmp_path, monkeypatch):
    """A package rgbt that this Python finds."""
    (tmp_path / "rgbt" / "dataset").mkdir(parents=True)
    for name, text in (
        ("__init__", ""),
        ("metrics", METRICS),
        ("dataset/__init__", ""),
        ("dataset/basedataset", DATASET),
    ):
        (tmp_path / "rgbt" / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def run_of(tracker_s, figure=0.5, **more):
    figures = {f"t{place}": {"SR": figure + place / 10} for place in range(len(tracker_s))}
    common = {"annotations_s": 0.1, "process_s": 3.0, "peak_mib": 80.0, "before_mib": 50.0}
    return {**common, "tracker_s": tracker_s, "figures": figures, **more}


def test_made_up_results_can_be_scored_and_are_the_same_again(task, tmp_path):
    videos = read_scored(task.dataset, str(task.annotations), None)
    assert (len(videos), sum(len(video.truth.boxes) for video in videos)) == (task.sequences, task.rows)
    assert task.rows == pytest.approx(90, abs=3)
    figures = [evaluate(name, folder, videos, LASHER).scores.overall["SR"] for name, folder in task.results.items()]
    assert 1 > figures[0] > figures[1] > 0
    again = synthetic_task(tmp_path / "again", trackers=2, sequences=3, frames=30)
    for old, new in zip(task.results.values(), again.results.values(), strict=True):
        assert [path.read_bytes() for path in sorted(old.iterdir())] == [p.read_bytes() for p in sorted(new.iterdir())]


def test_sides_take_turns_and_agree_with_the_library(task, rival, tmp_path):
    begin = time.perf_counter()
    records = measure_scoring(task, ["toolbox", "rgbt"], tmp_path, repeats=2, python=sys.executable)
    whole = time.perf_counter() - begin
    assert {side: len(runs) for side, runs in records.items()} == {"toolbox": 2, "rgbt": 2}
    videos = read_scored(task.dataset, str(task.annotations), None)
    for run in records["toolbox"]:
        for name, folder in task.results.items():
            assert run["figures"][name] == evaluate(name, folder, videos, LASHER).scores.overall
    for run in records["rgbt"]:
        assert run["figures"]["tracker01"] == dict.fromkeys(("PR", "NPR", "SR"), 0.25)
        assert len(run["tracker_s"]) == 2 and all(seconds >= 0.15 for seconds in run["tracker_s"])
    runs = records["toolbox"] + records["rgbt"]
    assert all(run["annotations_s"] + sum(run["tracker_s"]) < run["process_s"] for run in runs)
    assert sum(run["process_s"] for run in runs) <= whole
    assert all(0 < run["before_mib"] <= run["peak_mib"] for run in runs)


def test_medians_and_ratios_within_each_repetition():
    records = {
        "toolbox": [run_of([1.0, 1.0]), run_of([2.0, 2.0], peak_mib=90.0), run_of([1.0, 3.0])],
        "report": [{"process_s": 7.0, "peak_mib": 200.0}] * 3,
        "rgbt": [run_of([10.0, 10.0], figure=0.4), run_of([24.0, 24.0]), run_of([30.0, 34.0])],
    }
    task = ScoringTask("lasher_test", Path("a"), {"t0": Path("b"), "t1": Path("c")}, 245, 220703)
    summary = summarise(task, records)
    assert (summary["toolbox"]["tracker_s"], summary["toolbox"]["peak_mib"]) == (2, 80)
    assert summary["rgbt"]["times_longer"] == {"median": 12, "least": 10, "most": 16}
    assert summary["rgbt"]["largest_difference"] == pytest.approx(0.1)
    assert "times_longer" not in summary["toolbox"]
    text = format_text(benchmark_table(task, summary, describe_machine(), 3))
    assert "2 trackers, 245 sequences, 220703 frames each" in text
    assert "rgbt takes 12.0 times as long (from 10.0 to 16.0 in one repetition)" in text
    report = next(line for line in text.splitlines() if line.startswith("toolbox: scores, tables"))
    assert report.split()[-2:] == ["7.00", "200"]


def test_peak_memory_is_what_the_process_itself_held():
    """Allocated and freed again, which still counts, in a process started by a larger one, which does not."""
    code = (
        "from lib.core.measure.peak_memory import peak_memory as held; p = held(); bytearray(2**26); print(p, held())"
    )
    ballast = np.ones(2**28, np.uint8)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert 60 < after - before < 80 and before < ballast.nbytes / 2**20


def test_scoring_needs_no_deep_learning():
    """Torch alone takes more time and memory than scoring a tracker."""
    code = "import sys, lib.test.analysis.sources; print({'torch', 'matplotlib'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_machine_is_named():
    machine = describe_machine()
    assert machine["cores"] == str(usable_cores()) and usable_cores() >= 1
    assert machine["python"] == ".".join(map(str, sys.version_info[:3])) and machine["processor"]


def test_failures_of_a_job_are_one_line(task, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="install rgbt there, or name a Python that has it: --python"):
        measure_scoring(task, ["rgbt"], tmp_path, repeats=1, python=sys.executable)
    with pytest.raises(InputError, match="--python /none: cannot be started: No such file"):
        measure_scoring(task, ["rgbt"], tmp_path, repeats=1, python="/none")
    broken = ScoringTask(task.dataset, task.annotations, {"gone": tmp_path}, 3, task.rows)
    with pytest.raises(InputError, match="scoring with toolbox failed: .*3 of 3 results are missing") as error:
        measure_scoring(broken, ["toolbox"], tmp_path, repeats=1, python=sys.executable)
    assert "\n" not in str(error.value)


@pytest.fixture
def command(monkeypatch):
    """Runs tracking/benchmark.py in this process."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["benchmark.py", "metrics", *map(str, arguments)])
        benchmark.main()

    return run


def test_given_results_are_scored_reported_and_written_down(command, task, tmp_path, capsys):
    named = [f"{name}={folder}" for name, folder in task.results.items()]
    files = ("--json", tmp_path / "out.json", "--markdown", tmp_path / "out.md")
    command("--annotations", task.annotations, "--results", *named, "--repeats", "1", *files)
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["task"] == {
        "dataset": "lasher_test", "trackers": ["tracker00", "tracker01"],
        "sequences": 3, "frames": task.rows, "made_up": False,
    }  # fmt: skip
    assert set(content["runs"]) == set(content["medians"]) == {"toolbox", "report"}
    assert content["medians"]["report"]["process_s"] > 0 and content["machine"]["processor"]
    assert "toolbox: scores, tables, plots, HTML" in capsys.readouterr().out
    assert (tmp_path / "out.md").read_text().startswith("**Scoring by the lasher_test rules")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--repeats", "0"), "--repeats 0: expected 1 or more"),
        (("--results", "a=."), "--annotations and --results go together"),
        (("--dataset_name", "rgbt234", "--against", "rgbt"), "only LasHeR's rules"),
        (("--dataset_name", "rgbt234"), "synthetic results follow LasHeR"),
        (("--against", "rgbt", "--annotations", "lib", "--results", "a=."), "needs <sequence>.txt files"),
    ],
)
def test_wrong_arguments_are_one_line(command, arguments, message):
    with pytest.raises(InputError, match=message):
        command(*arguments)

"""`benchmark gpu`: its runner, its plan for a GPU, its page, and the whole of it on a processor."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import golden_device
import numpy as np
import pytest

from lib.cli.gpu_page import TABLES, write_page
from lib.cli.gpu_plan import GOLDEN, LARGE, LEARNERS, NARROW, NETWORKS, PUBLIC_SIDES, Plan
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.measure.steps import DONE, FAILED, LEFT_OUT, STOPPED, Outcome, Scratch, Step, run_steps
from lib.core.process import is_running
from lib.test.benchmarks import providers_job
from lib.test.benchmarks.modes_job import compare_boxes
from lib.test.benchmarks.track import VARIANTS

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "good": "import json, sys; print(json.dumps({'twice': 2 * json.load(sys.stdin)['number']}))",
    "bad": "import sys\nprint('before', file=sys.stderr)\nraise ValueError('the reason')",
    "endless": "import subprocess, sys, time, os\nprint(os.getpid(), file=sys.stderr, flush=True)\n"
    "subprocess.run([sys.executable, '-c', 'import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); "
    "time.sleep(600)'])",
    "words": "print('no JSON')",
    "places": "import json, os, tempfile; print(json.dumps({'temporary': tempfile.gettempdir(), "
    "'home': os.path.expanduser('~'), 'here': os.getcwd()}))",
}


@pytest.fixture
def step(tmp_path):
    def make(name, seconds=60.0, alone=True, label=""):
        path = tmp_path / f"{name}.py"
        path.write_text(SCRIPTS[name])
        return Step(label or name, str(path), {"number": 21}, seconds, alone)

    return make


def run(steps, folder, seconds=60.0, together=2):
    reports = []
    scratch = Scratch(folder / "out")
    outcomes = run_steps(
        steps, scratch, seconds=seconds, together=together, report=lambda seen: reports.append([o.state for o in seen])
    )
    return outcomes, reports


def test_a_failing_step_is_recorded_and_the_rest_goes_on(step, tmp_path):
    outcomes, reports = run([step("bad"), step("words"), step("good")], tmp_path)
    assert [one.state for one in outcomes] == [FAILED, FAILED, DONE]
    assert outcomes[2].answer == {"twice": 42} and outcomes[0].seconds > 0
    assert "before" in outcomes[0].error and "raise ValueError" in outcomes[0].error
    assert outcomes[0].error.splitlines()[-1] == "ValueError: the reason"
    assert outcomes[0].error.splitlines()[0] == "exit status 1" and outcomes[1].error == "its answer is not JSON"
    assert reports == [[FAILED, LEFT_OUT, LEFT_OUT], [FAILED, FAILED, LEFT_OUT], [FAILED, FAILED, DONE]]
    json.dumps([one.content() for one in outcomes])


def test_a_step_is_stopped_with_what_it_started(step, tmp_path):
    (outcome,), _ = run([step("endless", seconds=4.0)], tmp_path)
    assert outcome.state == STOPPED and 4 <= outcome.seconds < 30
    numbers = [int(line) for line in outcome.error.split()]
    assert len(numbers) == 2
    end = time.monotonic() + 20  # a busy machine takes its time over a killed process
    while any(map(is_running, numbers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, numbers))


def test_what_has_no_time_left_is_left_out(step, tmp_path):
    outcomes, _ = run([step("endless"), step("good")], tmp_path, seconds=6.0)
    assert [one.state for one in outcomes] == [STOPPED, LEFT_OUT] and not outcomes[1].error


def test_steps_that_need_not_be_alone_run_together(step, tmp_path):
    slow = [step("endless", seconds=3.0, alone=False, label=str(number)) for number in range(2)]
    outcomes, _ = run([*slow, step("good")], tmp_path, seconds=14.0)
    assert [one.state for one in outcomes] == [STOPPED, STOPPED, DONE]
    assert sum(one.seconds for one in outcomes[:2]) >= 6


def test_steps_write_into_the_folder_alone(step, tmp_path):
    (outcome,), _ = run([step("places")], tmp_path)
    assert len(outcome.answer) == 3
    assert all(Path(place).is_relative_to((tmp_path / "out").resolve()) for place in outcome.answer.values())


def test_the_plan_for_a_gpu_names_what_there_is(tmp_path):
    steps = Plan("cuda", Scratch(tmp_path), reference=str(tmp_path)).steps()
    assert len({step.name for step in steps}) == len(steps)
    assert {step.kind for step in steps} == set(TABLES)
    for step in steps:
        assert Path(step.module).is_file() or importlib.util.find_spec(step.module) is not None, step.module
        assert set(step.job.get("modes", [])) <= set(VARIANTS)
        if "script" in step.job:
            load_config(step.job["script"], step.job["config"], step.job["set"])
        if step.job.get("checkpoint"):
            assert Path(step.job["checkpoint"]).is_file()
    assert [step.job["case"] for step in steps if step.kind == "golden"] == list(GOLDEN)
    assert set(GOLDEN) == set(golden_device.CASES)
    planned = {f"{step.job['script']}/{step.job['config']}" for step in steps if step.kind == "passes"}
    assert planned == {name for name in (*NETWORKS, *LEARNERS) if (ROOT / f"experiments/{name}.yaml").is_file()}
    learners = {f"{step.job['script']}/{step.job['config']}" for step in steps if step.kind == "tracking"} - {LARGE}
    assert learners == {name for name in LEARNERS if (ROOT / f"experiments/{name}.yaml").is_file()}


def test_the_rehearsal_is_narrow(tmp_path):
    steps = Plan("cpu", Scratch(tmp_path)).steps()
    assert {step.kind for step in steps} == set(TABLES) - {"reference"}
    for step in steps:
        if "script" in step.job:
            assert step.job["set"][: len(NARROW[step.job["script"]])] == NARROW[step.job["script"]]


def test_boxes_are_compared():
    boxes = np.array([[[0.0, 0, 10, 10], [5, 5, 20, 20]]])
    facts = compare_boxes(boxes + [[[0.0, 0, 0, 0], [0, 10, 0, 0]]], boxes)
    assert facts["equal"] == 1 and facts["boxes"] == 2 and facts["pixels"] == 10
    assert facts["most"] == pytest.approx(2 / 3) and facts["mean"] == pytest.approx(1 / 3)
    assert compare_boxes(boxes * [1, 1, 0, 0], boxes * [1, 1, 0, 0])["most"] == 0


def test_golden_numbers_on_this_device():
    answer = golden_device.measure({"case": "fear_xs", "device": "cpu", "golden": ""})
    assert 0 < answer["worst"] == max(answer["all"].values()) <= 1 and answer["at"] in answer["all"]


def test_the_page_shows_what_was_measured():
    job = {"script": "a", "config": "b", "precision": "bf16", "compiled": True}
    batch = {"pass_s": [0.002], "pass_core_s": [0.5], "products_s": [0.001], "operations": 8e11, "first_s": 9.0}
    rate = {"square_operations_per_s": 8e14, "copy_bytes_per_s": 4e12}
    device = Outcome(Step("device", "", {}, 1, kind="device"), DONE, 1.0, {
        "speeds": {"bf16": rate}, "machine": {"cores": "16"}, "device": {"gpu": "H"}, "software": {"torch": "2.11"},
    })  # fmt: skip
    answer = {"batches": {"4": {**batch, "gpu_peak_mib": 77}}, "device": {"gpu": "H"}}
    measured = Outcome(Step("pass", "", job, 1, kind="passes"), DONE, 1.0, answer)
    failed = Outcome(Step("x", "", job, 1, kind="passes"), FAILED, 3.0, {}, "Traceback\nValueError: a | b")
    page = write_page([device, measured, failed])
    assert "| a/b | bf16 compiled | 4 | 2.00 | 2000.0 | 50.0% | 2.00 | 77 | 9.0 |" in page
    assert "| bf16 | 800 | 4000 |" in page and "3 steps: 2 done, 1 failed; 5 s of steps." in page
    assert r"| x | failed | 3 | ValueError: a \| b |" in page
    assert page.startswith("# Measured on a GPU") and "narrow" in write_page([device], rehearses=True)


def test_the_page_says_why_a_step_has_no_result_and_which_public_model_is_wrong():
    def outcome(state, seconds, kind, job, **answer):
        return Outcome(Step(f"{kind}, {state}, {seconds}", "", job, 9, kind=kind), state, seconds, answer, "a warning")

    cases = (("eco", 0.1), ("atom", float("nan")))
    golden = [outcome(DONE, 1.0, "golden", {"case": case}, worst=worst, at="bbox") for case, worst in cases]
    late = [outcome(*end, "passes", {}) for end in ((STOPPED, 9.2), (STOPPED, 5.0), (LEFT_OUT, 0.0))]
    exchanged = outcome(DONE, 1.0, "exchange", {}, gradients=0.0, not_possible={})
    page = write_page([*golden, *late, exchanged])
    assert "6 steps: 3 done, 2 stopped, 1 left out" in page
    assert "Public models: 2 compared, beyond what is allowed: atom (nan)." in page
    whys = ["its 9 s were over", "the minutes were over", "the minutes were over"]
    assert re.findall(r"\| passes, .*\| ([^|]+) \|\n", page) == whys
    assert "mean of each process's own: about 0 is right | 0 |" in page and "{}" not in page


def test_what_onnx_runtime_lacks_is_said_on_the_page(monkeypatch):
    def missing():
        raise InputError("onnx: not installed")

    monkeypatch.setattr(providers_job, "check_packages", missing)
    answer = providers_job.measure({"providers": ["TensorrtExecutionProvider"]})
    facts = {"equal": 4, "boxes": 4, "most": 0.0, "pixels": 0.0, "frame_s": [0.002, 0.001, 0.003], "first_s": 7.0}
    answer["providers"]["CPUExecutionProvider"] = facts
    step = Step("onnx", "", {"script": "a", "config": "b"}, 1, kind="onnx")
    page = write_page([Outcome(step, DONE, 1.0, answer)])
    assert "| a/b | TensorrtExecutionProvider | onnx: not installed |" in page
    assert "| a/b | CPUExecutionProvider | 4 of 4 | 0 | 0 | 2.00 | 7.0 |" in page


#: A stand-in for the public code, in its layout: this toolbox under another name, with narrow layers.
CLONE = {
    "lib/__init__.py": "",
    "lib/config/tbsi_track/config.py": "cfg = {}\n\n\ndef update_config_from_file(path):\n"
    "    cfg['text'] = open(path).read()\n",
    "lib/models/tbsi_track/__init__.py": f'''
import importlib, sys
import torch
sys.path.append({str(ROOT / "tests")!r})
load_config = importlib.import_module("toolbox.core.config").load_config
build_model = importlib.import_module("toolbox.models").build_model


class Network(torch.nn.Module):
    """The same network with the calls of the public code."""

    def __init__(self):
        super().__init__()
        config = load_config("tbsi_track", "{LARGE.partition("/")[2]}", {NARROW["tbsi_track"] + PUBLIC_SIDES!r})
        self.inner = build_model(config)

    def state_dict(self):
        return self.inner.state_dict()

    def load_state_dict(self, weights):
        return self.inner.load_state_dict(weights)

    def forward(self, template, search):
        memory = self.inner.embed(torch.stack(template, 1))
        found = self.inner(memory, torch.stack(search, 1))
        return {{"pred_boxes": found.boxes[:, None], "score_map": found.score_map}}


def build_tbsi_track(cfg, training):
    assert cfg["text"] and not training
    return Network()
''',
}


def make_clone(folder):
    for name, text in CLONE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "toolbox").symlink_to(ROOT / "lib")
    config = folder / "experiments" / f"{LARGE}.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("MODEL: {}\n")
    return folder


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}


@pytest.mark.slow
def test_the_rehearsal(tmp_path):
    """Everything once, with nothing written elsewhere. Compilation alone may take longer than there is time."""
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    watched = [ROOT / name for name in ("lib", "tests", "tracking", "experiments", "pretrained_models", "output")]
    before = [files_of(folder) for folder in (*watched, home)]
    command = [sys.executable, "-B", str(ROOT / "tracking/benchmark.py"), "gpu", "--device", "cpu", "--threads", "1"]
    command += ["--minutes", "6", "--out", str(out), "--reference", str(make_clone(tmp_path / "clone"))]
    variables = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = json.loads((out / "results.json").read_text())
    late = {one["step"]["name"]: f"{one['state']}: {one['error']}" for one in steps if one["state"] != DONE}
    assert set(late) <= {"modes iimf_track/tiny fp32 compiled"}, late
    answers = {one["step"]["name"]: one["answer"] for one in steps}
    assert answers["exchange"]["ranks"] == 2 and answers["exchange"]["gradients"] < 1e-5 < answers["exchange"]["differ"]
    assert answers["resume"]["difference"] == 0
    assert answers["reference"]["pred_boxes"] < 1e-5 and answers["reference"]["score_map"] < 1e-5
    modes = answers[f"modes {LARGE}"]["modes"]
    assert modes["fp32"]["equal"] == modes["fp32"]["boxes"] == 8 and 0 < modes["bf16"]["most"] < 1
    known = answers["onnx iimf_track/tiny"]["providers"]
    assert known["CPUExecutionProvider"]["equal"] == 4 and "TensorrtExecutionProvider" in known
    page = (out / "results.md").read_text()
    titles = ("device alone", "Outputs", "Boxes of every", "A forward pass", "Tracking from", "A training", "Exchange",
              "killed", "public code", "Frames", "providers")  # fmt: skip
    assert all(title in page for title in titles)
    assert before == [files_of(folder) for folder in (*watched, home)]

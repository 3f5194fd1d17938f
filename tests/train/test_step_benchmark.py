"""The benchmark of a training step: what is run, what is measured, what is said of it."""

import json
import sys

import micro
import pytest
import torch

from lib.cli import benchmark
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.measure.gpu import Utilisation, describe_device
from lib.core.table import format_text
from lib.train.benchmarks import step_job
from lib.train.benchmarks.step import VARIANTS, Workload, measure_steps, steps_table, summarise_steps
from lib.train.trainer import Trainer

TINY = Workload("iimf_track", "tiny", 2)


def job(variant="fp32", **changes):
    known = {
        "script": "iimf_track",
        "config": "tiny",
        "batch": 2,
        "steps": 2,
        "device": "cpu",
        "threads": 0,
        "cache": "",
    }
    return known | {"set": VARIANTS[variant]} | changes


def test_variants_are_precision_times_saving():
    assert set(VARIANTS) == {
        "fp32", "bf16", "fp32 compiled", "bf16 compiled", "fp32 checkpointing", "bf16 checkpointing"
    }  # fmt: skip
    for name, changes in VARIANTS.items():
        train = load_config("iimf_track", "tiny", changes).TRAIN
        assert ("bf16" in name) == train.AMP and (not train.AMP or train.AMP_DTYPE == "bfloat16")
        assert ("compiled" in name, "checkpointing" in name) == (train.COMPILE, train.CHECKPOINT_BLOCKS)


def test_a_step_is_the_trainers_own(monkeypatch):
    made = []
    update = Trainer.update_weights

    def watch(trainer, skips):
        gradients = [parameter.grad is not None for parameter in trainer.model.parameters()]
        before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
        update(trainer, skips)
        moved = [not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True)]
        made.append((all(gradients), any(moved), trainer.model.training, trainer.cfg.TRAIN.BATCH_SIZE))

    monkeypatch.setattr(Trainer, "update_weights", watch)
    answer = step_job.time_steps(job())
    assert made == [(True, True, True, 2)] * 3
    assert len(answer["step_s"]) == 2 and min(answer["step_s"]) > 0 < answer["first_s"]
    assert len(answer["core_s"]) == 2 and min(answer["core_s"]) > 0
    assert 0 < answer["before_mib"] <= answer["peak_mib"]
    assert answer["device"] == {"torch": torch.__version__, "threads": str(torch.get_num_threads())}
    assert "gpu_peak_mib" not in answer


@pytest.mark.parametrize("variant", ["fear", "siamrpnpp-alex", "siamdma-baseline", "dimp", "atom", "alpha_refine"])
def test_every_family_learns_from_its_own_kind_of_batch(variant):
    """Pairs, pairs with masks, sets of frames; none of these networks has blocks that compute again."""
    script, config, changes = micro.VARIANTS[variant]
    known = {"script": script, "config": config, "set": [*VARIANTS["fp32"], *changes], "steps": 1}
    answer = step_job.time_steps(job(**known, set_where_known=["TRAIN.CHECKPOINT_BLOCKS=false"]))
    assert len(answer["step_s"]) == 1 and answer["step_s"][0] > 0


def record(rate, **more):
    return {"pairs_per_s": rate, "step_s": [2 / rate], "first_s": 3.0, "peak_mib": 700.0, **more}


def test_medians_and_ratios_within_each_repetition():
    records = {"fp32": [record(1.0), record(2.0), record(1.0)], "bf16": [record(3.0), record(4.0), record(3.5)]}
    records["bf16"][0]["first_s"] = 40.0
    summary = summarise_steps(records)
    assert summary["bf16"]["ratio"] == {"median": 3, "least": 2, "most": 3.5}
    assert summary["fp32"]["ratio"]["median"] == 1 and summary["bf16"]["first_s"] == 40
    text = format_text(steps_table(TINY, summary, {"torch": "2.4.0", "threads": "2"}, 3))
    assert "iimf_track/tiny, 2 pairs" in text and "PyTorch 2.4.0, 2 threads" in text
    assert next(line for line in text.splitlines() if line.startswith("bf16")).split() == [
        "bf16", "3.50", "3.00", "2.00", "3.50", "0.571", "40.0", "700"
    ]  # fmt: skip


def test_on_a_cpu_time_on_the_cores_decides_the_ratio():
    records = {name: [record(7.0, pairs_per_core_s=rate)] for name, rate in (("fp32", 2.0), ("bf16", 5.0))}
    lines = format_text(steps_table(TINY, summarise_steps(records), {"torch": "2.4.0"}, 1)).splitlines()
    assert next(line for line in lines if line.startswith("bf16")).split()[1:4] == ["7.00", "5.00", "2.50"]


def test_a_gpus_memory_and_work_get_columns():
    records = {"bf16": [record(5.0, gpu_peak_mib=1000.0, gpu_utilisation=0.93)]}
    lines = format_text(steps_table(TINY, summarise_steps(records), {"gpu": "H200"}, 1)).splitlines()
    assert next(line for line in lines if line.startswith("bf16")).split()[-2:] == ["1000", "93%"]
    records["bf16"].append(record(5.0, gpu_peak_mib=1000.0, gpu_utilisation=None))
    unknown = format_text(steps_table(TINY, summarise_steps(records), {"gpu": "H200"}, 2)).splitlines()
    assert next(line for line in unknown if line.startswith("bf16")).split()[-1] == "1000"


def test_utilisation_is_the_mean_of_what_nvidia_smi_says(tmp_path):
    busy = Utilisation(torch.device("cpu"))
    with busy:
        pass
    assert busy.mean() is None
    busy.wanted, busy.command = True, [sys.executable, "-c", "print('90\\n[N/A]\\n100\\n80')"]
    with busy:
        busy.process.wait(20)
    assert busy.mean() == pytest.approx(0.9)
    busy.command = ["no such program"]
    with busy:
        assert busy.process is None


def test_device_is_described():
    assert describe_device(torch.device("cpu"))["torch"] == torch.__version__


def test_failures_of_a_process_are_one_line():
    with pytest.raises(InputError, match="^tinny, fp32 failed: configuration .*'tinny' is unknown") as error:
        measure_steps(Workload("iimf_track", "tinny", 2), ["fp32"], steps=1, repeats=1, device="cpu")
    assert "\n" not in str(error.value)


def run_command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["benchmark.py", "train", *map(str, arguments)])
    benchmark.main()


def test_command_runs_processes_and_writes_what_they_measured(tmp_path, monkeypatch, capsys):
    files = ("--json", tmp_path / "out.json", "--markdown", tmp_path / "out.md", "--device", "cpu")
    run_command(
        monkeypatch, "--networks", "iimf_track/tiny:2", "--variants", "bf16", "--repeats", 1, "--steps", 2, *files
    )
    content = json.loads((tmp_path / "out.json").read_text())
    (run,) = content["runs"]["iimf_track/tiny:2"]["bf16"]
    assert len(run["step_s"]) == 2 and run["process_s"] > sum(run["step_s"]) and content["machine"]["processor"]
    assert content["medians"]["iimf_track/tiny:2"]["bf16"]["pairs_per_s"] == run["pairs_per_s"]
    assert "Training step: iimf_track/tiny, 2 pairs" in capsys.readouterr().out
    assert (tmp_path / "out.md").read_text().startswith("**Training step")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--networks", "tiny"), "SCRIPT/CONFIG:PAIRS"),
        (("--networks", "a/b:0"), "PAIRS"),
        (("--steps", "0"), "--steps"),
    ],
)
def test_wrong_arguments_are_one_line(monkeypatch, arguments, message):
    with pytest.raises(InputError, match=message):
        run_command(monkeypatch, *arguments)

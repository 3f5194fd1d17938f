import json
import subprocess
import sys
from pathlib import Path

import micro
import pytest
import torch

from lib.core.errors import InputError
from lib.core.table import format_text
from lib.test.benchmarks import model_job, track_job
from lib.test.benchmarks.model import VARIANTS, MeasuredNetwork, passes_table, summarise_passes
from lib.test.benchmarks.track import STAGES, split, summarise_tracking, tracking_table

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "docs/demo_sequence"


def job(**known):
    """A job of a micro IIMF."""
    script, config, changes = micro.VARIANTS["iimf_track"]
    given = {"script": script, "config": config, "set": changes, "checkpoint": "", "device": "cpu", "cache": ""}
    return {**given, "precision": "fp32", "compiled": False, "backend": "torch", "threads": 0, **known}


def test_a_pass_is_timed_beside_its_products():
    record = model_job.measure(job(batches=[1, 2], passes=2))
    one, two = record["batches"]["1"], record["batches"]["2"]
    assert len(one["pass_s"]) == len(one["products_s"]) == 2 and min(one["pass_s"] + one["products_s"]) > 0
    assert len(one["template_s"]) == 2 and min(one["template_s"]) > 0
    assert two["operations"] == 2 * one["operations"] > 0
    assert record["parameters"] == sum(weight.numel() for weight in micro.model("iimf_track").parameters())
    assert record["weights_mib"] * 2**20 > 4 * record["parameters"]
    assert record["square_operations_per_s"] > 1e9 and record["peak_mib"] >= record["before_mib"]


@pytest.mark.parametrize("variant", ["dimp", "atom"])
def test_of_a_tracker_that_learns_the_network_is_timed(variant):
    script, config, changes = micro.VARIANTS[variant]
    record = model_job.measure(job(script=script, config=config, set=changes, batches=[2], passes=1))
    assert record["batches"]["2"]["operations"] > 0 and not record["batches"]["2"]["template_s"]
    assert record["parameters"] == sum(weight.numel() for weight in micro.model(variant).parameters())


def test_where_no_pass_is_alone_one_line_says_so():
    script, config, changes = micro.VARIANTS["rt_mdnet"]
    with pytest.raises(InputError, match="rt_mdnet/rt_mdnet: a pass depends on what was learned; use `benchmark tr"):
        model_job.measure(job(script=script, config=config, set=changes, batches=[1], passes=1))


def test_bf16_halves_the_weights():
    full, half = (model_job.measure(job(batches=[1], passes=1, precision=name)) for name in ("fp32", "bf16"))
    assert half["weights_mib"] < 0.6 * full["weights_mib"]
    assert half["batches"]["1"]["moved_bytes"] * 2 == full["batches"]["1"]["moved_bytes"]


def passes(seconds, **known):
    """A record of these seconds on the cores; on the clock all take longer."""
    one = {"first_s": 9.0, "pass_core_s": seconds, "products_core_s": [1.0] * 3, "operations": 4e9, "moved_bytes": 8}
    batches = {"1": {**one, "pass_s": [9.0, 9.0, 9.0], "products_s": [5.0] * 3}}
    machine = {"square_operations_per_s": 8e9, "copy_bytes_per_s": 2e9}
    memory = {"peak_mib": 10.0, "before_mib": 5.0, "weights_mib": 2.0}
    return {"batches": batches, "parameters": 5_000_000, "device": {"threads": "2"}, **machine, **memory, **known}


def test_medians_and_ratios_of_passes():
    first = [passes([2.0, 2.0, 50.0]), passes([4.0, 4.0, 4.0])]
    summary = summarise_passes({"fp32": first, "bf16": [passes([1.0, 1.0, 1.0])] * 2})
    assert summary["fp32"]["batches"][1]["pass_core_s"] == 3.0  # one slow pass does not count
    assert summary["fp32"]["batches"][1]["beside_products"] == 3.0
    assert summary["bf16"]["ratio"] == {"median": 3.0, "least": 2.0, "most": 4.0}
    on_gpu = summarise_passes({"fp32": [passes([2.0, 2.0, 2.0], device={"gpu": "H"})]})
    assert on_gpu["fp32"]["batches"][1]["beside_products"] == 1.8  # what the host does meanwhile does not count
    text = format_text(passes_table(MeasuredNetwork("iimf_track", "tiny"), summary, {"torch": "2"}, 2))
    assert "5.0 M parameters; 4.0 GFLOPs a frame" in text and "bf16" in text


@pytest.mark.parametrize(("crops", "threads"), [("exact", 1), ("exact", 0), ("fast", 1)])
def test_every_second_of_tracking_belongs_to_a_stage(crops, threads, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # of this process
    given = job(batch=2, crops=crops, threads=threads, data_dir=str(DEMO), copies=3, frames=5)
    record = split(track_job.measure(given) | {"process_s": 1.0})
    assert record["frames"] == 15
    assert set(record["shares"]) == set(STAGES) and sum(record["shares"].values()) == pytest.approx(1)
    assert min(record["shares"].values()) >= 0 and record["shares"]["network"] > record["shares"]["rest"]
    assert (
        record["by_core"] == bool(threads)
        and record["stages"]["decode"] > 0
        and record["half_mib"] <= record["peak_mib"]
    )
    summary = summarise_tracking({"fp32, batch 2": [record]})
    assert "15 frames" in format_text(tracking_table(MeasuredNetwork("a", "b"), summary, {}, 1))


def test_what_a_tracker_learns_is_a_stage_of_its_own():
    script, config, changes = micro.VARIANTS["dimp"]
    known = {"batch": 1, "crops": "exact", "data_dir": str(DEMO), "copies": 1, "frames": 4}
    record = split(track_job.measure(job(script=script, config=config, set=changes, **known)))
    assert min(record["shares"].values()) >= 0 and sum(record["shares"].values()) == pytest.approx(1)
    assert record["shares"]["learning"] > 0.01 and record["shares"]["start"] > 0.01
    assert record["stages"]["network"] > record["stages"]["learning"]


def test_wrong_names_are_named():
    with pytest.raises(InputError, match="--networks tiny: expected SCRIPT/CONFIG"):
        MeasuredNetwork.parse("tiny")
    assert set(VARIANTS) >= {"fp32", "bf16 compiled", "fp16"}


@pytest.mark.slow
def test_the_commands_run_and_write_what_they_show(tmp_path):
    command = [sys.executable, str(ROOT / "tracking/benchmark.py"), "model", "--networks", "iimf_track/tiny"]
    command += ["--variants", "fp32", "bf16", "--batches", "1", "--passes", "1", "--repeats", "1"]
    subprocess.run([*command, "--json", str(tmp_path / "model.json")], check=True)
    content = json.loads((tmp_path / "model.json").read_text())
    assert set(content["medians"]["iimf_track/tiny"]) == {"fp32", "bf16"} and content["machine"]["processor"]
    shown = [sys.executable, str(ROOT / "tracking/profile_model.py"), "--script", "iimf_track", "--config", "tiny"]
    done = subprocess.run([*shown, "--device", "cpu"], check=True, capture_output=True, text=True)
    assert "5.0 M parameters; 1.0 GFLOPs a frame" in done.stdout
    wrong = subprocess.run([*command, "--set", "TEST.NOTHING=1"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "TEST.NOTHING" in wrong.stderr.splitlines()[-1]

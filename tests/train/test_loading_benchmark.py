"""The benchmark of the loader: what it counts, and what it says of scaled decoding."""

import json
import time

import micro
import numpy as np
import pytest
import torch

from lib.cli import benchmark
from lib.core.errors import InputError
from lib.core.table import format_text
from lib.datasets.sequence import Frames, Sequence
from lib.train.benchmarks import loading as loading_benchmark
from lib.train.benchmarks.loading import (
    LASHER_SIZE,
    LoadingVariant,
    compare_pixels,
    gains,
    loading_table,
    measure_loading,
    summarise_loading,
    with_boxes,
)


@pytest.fixture(autouse=True)
def keep_threads():
    """The benchmark works on one core; other tests need not."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Slow(Frames):
    """Noise that takes three milliseconds of a core to read."""

    modalities = ("visible", "infrared")

    def __len__(self):
        return 6

    def __getitem__(self, index):
        begin = time.process_time()
        while time.process_time() - begin < 0.003:
            pass
        picture = np.random.default_rng(index).integers(0, 255, (240, 320, 3), np.uint8)
        return [picture, picture]


def sequences(side):
    boxes = np.tile([100.0, 80, side, side], (6, 1))
    return [Sequence("slow", Slow(), boxes)]


def config(*changes):
    return micro.config("iimf_track", "TRAIN.BATCH_SIZE=4", "DATA.TRAIN.DATASETS_NAME=[x]",
                        "DATA.TRAIN.DATASETS_RATIO=[1]", *changes)  # fmt: skip


def test_pairs_and_the_time_of_reading_are_counted():
    run = measure_loading(config(), sequences(20), LoadingVariant(0, False), pairs=16)
    assert run["pairs"] == 16 and run["pairs_per_s"] == pytest.approx(16 / run["seconds"])
    assert run["frame_ms"] >= 3 and run["reduced_share"] == 0
    least = 2 * 0.003 * run["pairs_per_core_s"]
    assert least * 0.99 <= run["decode_share"] < 1 and 0 < run["pairs_per_core_s"] < 1 / 0.006


def test_scaled_decoding_is_compared_where_it_acts():
    large, cfg = sequences(70), config()
    assert measure_loading(cfg, large, LoadingVariant(0, True), pairs=8)["reduced_share"] == 1
    changed = compare_pixels(cfg, large, pairs=8)
    assert changed["changed_share"] == 1 and changed["mean"] > 1 and 0 < changed["box_px"] < 1.5
    assert compare_pixels(cfg, sequences(10), pairs=8) == dict.fromkeys(changed, 0.0)


def test_of_worker_processes_only_the_rate_is_known():
    run = measure_loading(config(), sequences(20), LoadingVariant(2, False), pairs=16)
    assert run["pairs"] == 16 and run["pairs_per_s"] > 0 and not run.keys() & {"decode_share", "pairs_per_core_s"}


def test_boxes_are_as_large_as_lashers_and_inside():
    blank = Sequence("a", Slow(), np.tile([1.0, 1, 2, 2], (4000, 1)))
    boxes = with_boxes(blank, (640, 480), seed=0).boxes
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= (640, 480)).all()
    assert np.median(np.sqrt(boxes[:, 2:].prod(axis=1))) == pytest.approx(LASHER_SIZE, rel=0.05)


def test_medians_and_ratios_within_each_repetition():
    def runs(*rates):
        return [{"pairs_per_s": 7.0, "pairs_per_core_s": rate} for rate in rates]

    records = {"0 workers": runs(10, 20, 10), "0 workers, scaled decoding": runs(15, 22, 12)}
    summary = summarise_loading(records)
    assert [row["pairs_per_core_s"] for row in summary.values()] == [10, 15]
    ratios = gains(records, LoadingVariant(0, False), LoadingVariant(0, True))
    assert ratios == [1.1, 1.2, 1.5]
    pixels = {"changed_share": 0.14, "mean": 2.5, "percentile_99": 30.2, "box_px": 0.3}
    text = format_text(loading_table(summary, pixels, what="noise", ratios=ratios, packed=[0.9, 1.0, 1.3]))
    assert "Scaled decoding makes 1.20 times as many pairs (1.10 to 1.50 within one repetition)" in text
    assert "The packed set makes 1.00 times as many pairs (0.90 to 1.30 within one repetition)" in text
    assert (
        "changes 14% of the search regions: there by 2.50 of 255 on average, 99 % of the pixels by at most 30" in text
    )


def run_command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["benchmark.py", "data", *map(str, arguments)])
    benchmark.main()


def test_command_makes_pairs_and_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loading_benchmark, "SEQUENCES", 2)
    monkeypatch.setattr(loading_benchmark, "FRAMES", 3)
    files = ("--json", tmp_path / "out.json", "--markdown", tmp_path / "out.md")
    small = ("--script", "iimf_track", "--config", "tiny", "--frame_size", "160x120", "--pairs", "8", "--workers", "0")
    run_command(monkeypatch, *small, "--repeats", "2", *files)
    content = json.loads((tmp_path / "out.json").read_text())
    assert set(content["runs"]) == {"0 workers", "0 workers, scaled decoding"}
    assert [run["pairs"] for run in content["runs"]["0 workers"]] == [8, 8]
    assert content["task"].startswith("160x120, visible + infrared") and content["machine"]["processor"]
    assert "Loading training pairs: 160x120" in capsys.readouterr().out
    assert (tmp_path / "out.md").read_text().startswith("**Loading training pairs")


def test_packed_set_takes_its_turns(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loading_benchmark, "SEQUENCES", 2)
    monkeypatch.setattr(loading_benchmark, "FRAMES", 3)
    small = ("--script", "iimf_track", "--config", "tiny", "--frame_size", "160x120", "--pairs", "8", "--workers", "0")
    run_command(monkeypatch, *small, "--repeats", "1", "--packed", "--json", tmp_path / "out.json")
    runs = json.loads((tmp_path / "out.json").read_text())["runs"]
    ways = ("", ", scaled decoding", ", packed", ", packed, scaled decoding")
    assert list(runs) == [f"0 workers{way}" for way in ways]
    assert all(run["pairs"] == 8 and run["frame_ms"] > 0 for (run,) in runs.values())
    assert "The packed set makes " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frame_size", "big"), "WIDTHxHEIGHT"),
        (("--pairs", "0"), "at least one pair"),
        (("--workers", "-1"), "no neg"),
    ],
)
def test_wrong_arguments_are_one_line(monkeypatch, arguments, message):
    with pytest.raises(InputError, match=message):
        run_command(monkeypatch, *arguments)

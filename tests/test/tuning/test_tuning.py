"""Search for settings: what is tried, how it is followed and continued, what is reported."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_model import follow_alone, moving_sequence
from micro import VARIANTS, config
from safetensors.torch import save_file

from lib.cli import tune
from lib.core.config import save_config
from lib.core.errors import InputError
from lib.core.lock import hold
from lib.models import build_model
from lib.test.evaluation.open import load_tracker
from lib.test.evaluation.record import digest
from lib.test.metrics import PLAIN, VOT_LT
from lib.test.results.files import read_result
from lib.test.tuning import search as tuning
from lib.test.tuning.many_settings import load_settings
from lib.test.tuning.report import default_objective, map_figure, rank_trials, trials_table, write_trials
from lib.test.tuning.search import SettingSearch, Trial, decisive, make_trials, read_records, run_search
from lib.test.tuning.space import draw, grid, parse_axis
from lib.test.video.video import write_image

KNOWN = {"TEST.SEARCH_FACTOR": 4.0, "TEST.SEARCH_SIZE": 64, "TEST.EPOCH": 3, "TRAIN.LR": 0.1}
FACTORS = (3.0, 4.0, 5.0)


def parse(*texts: str):
    return [parse_axis(text, KNOWN) for text in texts]


def test_grids_are_every_combination():
    settings = grid(parse("TEST.A=0:0.2:3", "TEST.B=[1, 2],true,x", "TEST.SEARCH_SIZE=60:70:4"))
    assert len(settings) == 3 * 3 * 4 and settings[0] == {"TEST.A": 0.0, "TEST.B": [1, 2], "TEST.SEARCH_SIZE": 60}
    assert [setting["TEST.SEARCH_SIZE"] for setting in settings[:5]] == [60, 63, 67, 70, 60]
    assert [setting["TEST.B"] for setting in settings[:12:4]] == [[1, 2], True, "x"]
    assert [setting["TEST.A"] for setting in grid(parse("TEST.A=0.01:1:3:log"))] == [0.01, 0.1, 1.0]


def test_draws_are_seeded_within_bounds_and_begin_alike():
    axes = parse("TEST.A=0.001:1:log", "TEST.B=1,2", "TEST.SEARCH_SIZE=10:20")
    many = draw(axes, 200, seed=3)
    assert draw(axes, 20, seed=3) == many[:20] and draw(axes, 20, seed=4) != many[:20]
    values = np.array([[setting[axis.key] for axis in axes] for setting in many])
    assert values.min(0).tolist() >= [0.001, 1, 10] and values.max(0).tolist() <= [1, 2, 20]
    assert 0.3 < (values[:, 0] < 0.0316).mean() < 0.7  # half of the decades
    assert set(values[:, 1]) == {1, 2} and all(isinstance(setting["TEST.SEARCH_SIZE"], int) for setting in many)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TEST.A", "expected KEY=VALUES"),
        ("TRAIN.LR=1,2", "only keys of TEST are searched; TRAIN.LR: another value is another network"),
        ("TEST.EPOCH=1,2", "TEST.EPOCH: it chooses the checkpoint"),
        ("TEST.A=2:1:3", "low below high"),
        ("TEST.A=0:1:3:log", "above 0 for log"),
        ("TEST.A=0:1", "a grid needs values; give a count (0:1:5), or draw settings with --random N"),
        ("TEST.A=[1", "are not YAML values"),
    ],
)
def test_what_cannot_be_searched_is_one_line(text, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        grid(parse(text))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="TEST.A is given twice"):
        grid(parse("TEST.A=1", "TEST.A=2"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network that is nothing but reproducible."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "micro.safetensors"
    save_file(build_model(config("iimf_track")).state_dict(), path)
    return path


def trials() -> tuple[Trial, ...]:
    cfgs = [config("iimf_track", f"TEST.SEARCH_FACTOR={factor}") for factor in FACTORS]
    pairs = zip(FACTORS, cfgs, strict=True)
    return tuple(Trial(f"t{factor:g}", {"TEST.SEARCH_FACTOR": factor}, cfg) for factor, cfg in pairs)


def sequences():
    return tuple(moving_sequence(name, length, (3, 2)) for name, length in (("a", 4), ("b", 6)))


def make_search(folder: Path, weights: Path) -> SettingSearch:
    ready, videos = tuning.scored_sequences(sequences())
    return SettingSearch(folder, trials(), ready, videos, PLAIN, weights)


def test_one_network_tracks_as_each_setting_loaded_alone(weights):
    many = load_settings({trial.name: trial.cfg for trial in trials()}, weights, "cpu")
    pair = sequences()
    names = [f"{trial.name}/{sequence.name}" for sequence in pair for trial in trials()]
    of = [sequence for sequence in pair for _ in trials()]
    targets = many.start([s.frames[0] for s in of], [s.boxes[0] for s in of], names)
    for index in range(1, 4):
        targets = many.track(targets, [s.frames[index] for s in of])
    assert [target.name for target in targets] == names
    for place, trial in enumerate(trials()):
        alone = load_tracker(trial.cfg, weights, "cpu")
        moved = alone.start([s.frames[0] for s in pair], [s.boxes[0] for s in pair], ["a", "b"])
        for index in range(1, 4):
            moved = alone.track(moved, [s.frames[index] for s in pair])
        for sequence, target in enumerate(moved):
            np.testing.assert_array_equal(target.box, targets[sequence * len(FACTORS) + place].box)
    boxes = np.array([target.box for target in targets[: len(FACTORS)]])
    assert len(np.unique(boxes, axis=0)) == len(FACTORS)  # the settings do differ
    assert len({id(tracker.method.network) for tracker in many._trackers.values()}) == 1  # however many settings


def test_targets_of_several_trials_are_corrected_in_their_own_order(weights):
    many, image = (
        load_settings({trial.name: trial.cfg for trial in trials()}, weights, "cpu"),
        moving_sequence("s").frames[0],
    )
    names, boxes = ["t3/a", "t5/a", "t3/b", "t4/a"], [np.array([60.0 + k, 50, 30, 20]) for k in range(4)]
    targets = many.start([image] * 4, boxes, names)
    corrected = many.correct(targets, [box + 10 for box in boxes])
    assert [target.name for target in corrected] == names
    np.testing.assert_array_equal([target.box for target in corrected], np.array(boxes) + 10)


def test_batched_sequences_of_several_trials(weights, tmp_path):
    one, many = make_search(tmp_path / "one", weights), make_search(tmp_path / "many", weights)
    run_search(one, ["cpu"])
    run_search(many, ["cpu"], batch=4)
    for trial in trials():
        for name in ("a.txt", "b.txt"):
            left, right = (read_result(search.folder / trial.name / name) for search in (one, many))
            np.testing.assert_allclose(left, right, atol=2e-3)
    assert len(read_records(many.folder, many.videos, weights)) == 3


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("dasiamrpn", ("TEST.PENALTY_K=0.6", "TEST.WINDOW_INFLUENCE=0.9")),
        ("dasiamrpn-long", ("TEST.LONG_TERM.LOW=0.01", "TEST.SIZE_LR=0.9")),
    ],
)
def test_siamese_trackers_take_their_settings(tmp_path, variant, changes):
    torch.manual_seed(0)
    save_file(build_model(config(variant)).state_dict(), tmp_path / "w.safetensors")
    configs = {"own": config(variant), "other": config(variant, *changes)}
    many = load_settings(configs, tmp_path / "w.safetensors", "cpu")
    sequence = moving_sequence("s", 4, (3, 2))
    boxes = {}
    for name, cfg in configs.items():
        alone = load_tracker(cfg, tmp_path / "w.safetensors", "cpu")
        boxes[name] = follow_alone(alone, sequence)
        shared = follow_alone(many, replace(sequence, name=f"{name}/s"))
        np.testing.assert_array_equal(shared, boxes[name])
    assert not np.array_equal(boxes["own"], boxes["other"])


def test_search_leaves_results_and_records_of_every_trial(weights, tmp_path):
    search = make_search(tmp_path, weights)
    run_search(search, ["cpu"])
    records = {record["folder"]: record for record in read_records(tmp_path, search.videos, weights)}
    assert set(records) == {"t3", "t4", "t5"}
    for trial in trials():
        record = records[trial.name]
        assert record["setting"] == trial.setting and record["test"] == decisive(trial.cfg)
        assert set(record["videos"]) == {"a", "b"} and record["frames_per_second"] > 0
        tracker = load_tracker(trial.cfg, weights, "cpu")
        steps = follow_alone(tracker, sequences()[1])
        np.testing.assert_allclose(read_result(tmp_path / trial.name / "b.txt"), steps, atol=6e-5)
        again = tuning.score_trial(tmp_path / trial.name, search.videos, PLAIN)
        assert again["figures"] == record["figures"] and {"SR", "F", "Re"} <= set(again["figures"])
        assert "TNR" not in again["figures"]  # the target is always there


class Stop(Exception):
    pass


def test_an_interrupted_search_continues(weights, tmp_path, monkeypatch):
    whole, search = make_search(tmp_path / "whole", weights), make_search(tmp_path / "parts", weights)
    run_search(whole, ["cpu"])
    followed = []

    def save(self, name, boxes, seconds, confidence):
        if len(followed) == 3:
            raise Stop
        followed.append(name)
        return kept(self, name, boxes, seconds, confidence)

    kept = SettingSearch.save
    monkeypatch.setattr(SettingSearch, "save", save)
    with pytest.raises(Stop):
        run_search(search, ["cpu"])
    assert followed == ["t3/b", "t3/a", "t4/b"]  # trial by trial, the longest sequence first
    assert [record["folder"] for record in read_records(search.folder, search.videos, weights)] == ["t3"]
    followed.clear()
    monkeypatch.setattr(
        SettingSearch, "save", lambda self, name, *rest: (followed.append(name), kept(self, name, *rest))
    )
    run_search(search, ["cpu"])
    assert followed == ["t4/a", "t5/b", "t5/a"]
    records = [read_records(item.folder, item.videos, weights) for item in (whole, search)]
    for one, other in zip(*records, strict=True):
        assert one["figures"] == other["figures"] and one["videos"] == other["videos"]
    (search.folder / "t4" / "record.json").unlink()  # died between the last box and the record
    followed.clear()
    run_search(search, ["cpu"])
    assert not followed and len(read_records(search.folder, search.videos, weights)) == 3


def test_workers_find_what_one_finds(weights, tmp_path):
    one, two = make_search(tmp_path / "one", weights), make_search(tmp_path / "two", weights)
    run_search(one, ["cpu"])
    run_search(two, ["cpu", "cpu"])
    for trial in ("t3", "t4", "t5"):
        for name in ("a.txt", "b.txt"):
            left, right = (read_result(search.folder / trial / name) for search in (one, two))
            np.testing.assert_allclose(left, right, atol=2e-3)  # the number of threads differs
    assert len(read_records(two.folder, two.videos, weights)) == 3


def test_other_weights_never_mix(weights, tmp_path):
    search = make_search(tmp_path / "out", weights)
    run_search(search, ["cpu"])
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_file(build_model(config("iimf_track")).state_dict(), other)
    with pytest.raises(InputError, match="was made with another checkpoint"):
        run_search(replace(search, checkpoint=other), ["cpu"])
    with pytest.raises(InputError, match="was made with another checkpoint"):
        read_records(search.folder, search.videos, other)
    for trial in ("t3", "t4", "t5"):
        (search.folder / trial / "record.json").unlink()
    with pytest.raises(InputError, match="the results here were made with checkpoint.*or remove this one"):
        run_search(replace(search, checkpoint=other), ["cpu"])
    (search.folder / "t3" / "record.json").write_text("[]")
    with pytest.raises(InputError, match=r"t3/record\.json: is not a record of a search; remove it"):
        read_records(search.folder, search.videos, weights)


def test_trials_on_other_data_never_mix(weights, tmp_path):
    search = make_search(tmp_path / "out", weights)
    run_search(search, ["cpu"])
    moved = tuple(replace(sequence, boxes=sequence.boxes + 1) for sequence in search.sequences)
    with pytest.raises(InputError, match=r"a was tracked on .* here is .*first box 61,51,31,21; .*choose another"):
        run_search(replace(search, sequences=moved), ["cpu"])
    other = tuple(moving_sequence(name, length, (1, 0)) for name, length in (("a", 4), ("b", 6)))
    with pytest.raises(InputError, match="other images"):
        run_search(replace(search, sequences=other), ["cpu"])
    with hold(search.folder, ""), pytest.raises(InputError, match="is writing here; wait for its end, or choose anoth"):
        run_search(search, ["cpu"])


def test_trials_on_other_videos_are_not_read(weights, tmp_path):
    """Scores over two videos and scores over one of them are no row of one table."""
    search = make_search(tmp_path, weights)
    trial = search.trials[0]
    content = {"checkpoint": digest(weights), "videos": {video.name: {} for video in search.videos}}
    (tmp_path / trial.name).mkdir()
    (tmp_path / trial.name / "record.json").write_text(json.dumps(content))
    save_config(trial.cfg, tmp_path / trial.name / "config.yaml")
    assert [record["folder"] for record in read_records(tmp_path, search.videos, weights)] == [trial.name]
    more = (*search.videos, replace(search.videos[0], name="c"))
    for videos in (search.videos[:1], search.videos[1:], more):
        assert read_records(tmp_path, videos, weights) == []


def test_trials_are_known_by_what_they_track_with():
    settings = [{}, {"TEST.SEARCH_FACTOR": 3}, {"TEST.SEARCH_FACTOR": 3.0}, {"TEST.SEARCH_FACTOR": 3.5}]
    made = make_trials("iimf_track", "tiny", [], settings)
    assert len(made) == 2 and made[0].setting == {} and made[1].cfg.TEST.SEARCH_FACTOR == 3.5
    assert make_trials("iimf_track", "tiny", [], [{"TEST.SEARCH_FACTOR": 3.5}])[0].name == made[1].name
    for setting, message in (
        ({"TEST.SERCH_FACTOR": 4}, r"TEST\.SERCH_FACTOR: unknown key; did you mean TEST\.SEARCH_FACTOR\?"),
        ({"TEST.SEARCH_FACTOR": 40}, r"TEST\.SEARCH_FACTOR: 40 is not allowed; expected a value in \[1, 10\]"),
        ({"TEST.SEARCH_SIZE": 160}, r"TEST\.SEARCH_SIZE: 160 differs from DATA\.SEARCH\.SIZE"),
    ):
        with pytest.raises(InputError, match=message):
            make_trials("iimf_track", "tiny", [], [setting])


def record(name: str, success: float, **test: float) -> dict:
    figures = {"SR": success, "PR": 1 - success, "TNR": None}
    keys = {f"TEST.{key}": value for key, value in test.items()}
    return {"folder": name, "figures": figures, "test": keys | {"TEST.SAME": 1}, "frames_per_second": 20.0}


@pytest.fixture
def found():
    rows = [(0, 1, 0.2), (0, 2, 0.4), (1, 1, 0.6), (1, 2, 0.5), (1, 3, 0.1)]
    records = [record(f"r{k}", success, A=float(a), B=b) for k, (a, b, success) in enumerate(rows)]
    return rank_trials("x on y", "SR", records, records[1]["test"])


def test_table_is_sorted_and_says_what_to_take(found, tmp_path):
    table = trials_table(found)
    assert table.rows[0] == ["trial", "TEST.A", "TEST.B", "SR", "PR", "frames/s"]
    assert [row[0] for row in table.rows[1:]] == ["r2", "r3", "r1 (as configured)", "r0", "r4"]
    assert table.rows[1][1:] == ["1", "1", "60.00", "40.00", "20.0"]
    assert table.notes[0] == "best: --set TEST.A=1 TEST.B=1"
    assert table.notes[1] == "SR +20.00 against the configuration as it stands (r1)"
    write_trials(tmp_path, found)
    assert "| r2 | 1 | 1 | **60.00** |" in (tmp_path / "trials.md").read_text()
    stored = json.loads((tmp_path / "trials.json").read_text())
    assert stored["objective"] == "SR" and [item["folder"] for item in stored["trials"]][:2] == ["r2", "r3"]
    by_precision = rank_trials("x", "PR", found.records, found.configured)
    assert by_precision.best["folder"] == "r4" and default_objective(found.records) == "SR"
    with pytest.raises(InputError, match="--objective pr: no such figure; there are SR, PR, TNR"):
        rank_trials("x", "pr", found.records, found.configured)
    with pytest.raises(InputError, match="no trial is complete yet"):
        rank_trials("x", "SR", [], found.configured)


def test_map_has_a_cell_per_pair_and_marks_the_best(found):
    axes = map_figure(found, "TEST.A", "TEST.B").axes[0]
    cells = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(cells, [[20, 60], [40, 50], [np.nan, 10]])
    assert [text.get_text() for text in axes.texts] == ["20.0", "60.0", "40.0", "50.0", "10.0"]
    marks = {line.get_marker(): (line.get_xdata()[0], round(line.get_ydata()[0])) for line in axes.lines}
    assert marks == {"*": (1, 0), "o": (0, 1)}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2", "3"]
    with pytest.raises(InputError, match=r"--map TEST\.SAME: the trials differ in TEST\.A, TEST\.B"):
        map_figure(found, "TEST.A", "TEST.SAME")


def test_the_best_over_other_keys_and_dots_for_draws():
    records = [record(f"r{k}", k / 10, A=float(k % 2), B=float(k // 2 % 2), C=float(k // 4)) for k in range(8)]
    axes = map_figure(rank_trials("x", "SR", records, {}), "TEST.A", "TEST.B").axes[0]
    assert axes.get_title().endswith("best over the other keys")
    np.testing.assert_allclose(axes.images[0].get_array(), [[40, 50], [60, 70]])
    lists = [record("r0", 0.2, A=1.0, B=[1, 2]), record("r1", 0.4, A=2.0, B=[3]), record("old", 0.9, A=1.0)]
    axes = map_figure(rank_trials("x", "SR", lists, {}), "TEST.A", "TEST.B").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["[1,2]", "[3]"]
    drawn = [record(f"r{k}", k / 99, A=k / 99, B=(k * 37 % 100) / 99) for k in range(100)]
    axes = map_figure(rank_trials("x", "SR", drawn, {}), "TEST.A", "TEST.B").axes[0]
    assert not axes.images and len(axes.collections[0].get_offsets()) == 100
    assert axes.lines[0].get_xdata()[0] == 1.0  # the star, on the best


@pytest.fixture
def command(monkeypatch, tmp_path, weights, capsys):
    """tracking/tune.py in this process, on two small sequences, with a network of few numbers."""
    for name, length in (("a", 4), ("b", 5)):
        sequence = moving_sequence(name, length)
        for index in range(length):
            for folder, image in zip(("visible", "infrared"), sequence.frames[index], strict=True):
                write_image(tmp_path / "data" / name / folder / f"{index:06d}.png", image)
        np.savetxt(tmp_path / "data" / name / "visible.txt", sequence.boxes, fmt="%d", delimiter=",")
    small = [f"--set={text}" for text in VARIANTS["iimf_track"][2]]

    def call(*words: str) -> str:
        fixed = ["tune", "tbsi_track", "vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k", "--device", "cpu", *small]
        data = ["--dataset_name", "folder", "--data_dir", str(tmp_path / "data"), "--checkpoint", str(weights)]
        monkeypatch.setattr("sys.argv", [*fixed, *data, "--out", str(tmp_path / "out"), *words])
        tune.main()
        return capsys.readouterr().out

    return call


def test_command_searches_continues_and_reports(command, tmp_path):
    words = ["--search", "TEST.SEARCH_FACTOR=3,4", "TEST.TEMPLATE_FACTOR=1.5:2.5:2", "--objective", "PR"]
    output = command(*words)
    assert "on data: 5 trials by PR, figures in percent" in output and "(as configured)" in output
    assert {path.name for path in (tmp_path / "out").glob("*.*")} == {
        "trials.md",
        "trials.json",
        "map.png",
        "data.json",
    }
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/[ab].txt")}
    assert len(before) == 10
    assert "7 trials" in command("--search", "TEST.SEARCH_FACTOR=3.3:3.7", "--random", "2", "--seed", "5")
    assert "7 trials by F" in command("--objective", "F")  # nothing to search: what is there
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_command_refuses_in_one_line(command, tmp_path):
    for words, message in (
        (["--search", "TEST.SERCH_FACTOR=3,4"], r"TEST\.SERCH_FACTOR: unknown key; did you mean TEST\.SEARCH_FACTOR"),
        (["--search", "TEST.SEARCH_FACTOR=a,b"], r"TEST\.SEARCH_FACTOR: 'a' is not allowed; expected a number"),
        (["--random", "5"], "--random 5: expected 1 or more draws, and keys to draw"),
        ([], "no trial is complete yet"),
    ):
        with pytest.raises(InputError, match=message):
            command(*words)
    assert not (tmp_path / "out").exists()


def test_long_term_rules_are_not_measured_twice(weights, tmp_path):
    search = replace(make_search(tmp_path, weights), protocol=VOT_LT)
    run_search(replace(search, trials=trials()[:1]), ["cpu"])
    (only,) = read_records(tmp_path, search.videos, weights)
    assert list(only["figures"]) == ["F", "Pr", "Re"] and default_objective([only]) == "F"

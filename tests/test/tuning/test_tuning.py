"""Search for settings: what is tried, how it is followed and continued, what is reported."""

import csv
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import micro
import numpy as np
import pytest
import torch
from fake_model import CONFIG, FakeModel, MovingSquare, follow_alone, follow_together, make_tracker, moving_sequence
from matplotlib.backends.backend_agg import FigureCanvasAgg
from micro import VARIANTS, config
from safetensors.torch import save_file

from lib.cli import tune
from lib.core.config import flatten, save_config
from lib.core.errors import InputError
from lib.core.lock import hold
from lib.datasets.sequence import Sequence
from lib.models import build_model, network_class
from lib.test.evaluation.engine import follow
from lib.test.evaluation.open import load_tracker
from lib.test.evaluation.record import digest
from lib.test.metrics import PLAIN, VOT_LT
from lib.test.results.files import read_result, write_result
from lib.test.tuning import search as tuning
from lib.test.tuning.many_settings import ManySettings, load_settings
from lib.test.tuning.maps import key_pairs, map_figure
from lib.test.tuning.report import (
    TuningSet,
    default_objective,
    rank_trials,
    sort_records,
    trials_table,
    write_trials,
)
from lib.test.tuning.search import (
    SettingSearch,
    Trial,
    allowed_trials,
    decisive,
    draw_sequences,
    make_trials,
    read_records,
    run_search,
)
from lib.test.tuning.shared_frames import SharedFrames
from lib.test.tuning.space import draw, grid, parse_axis, refine
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
    assert followed == ["t3/b", "t4/b", "t5/b"]  # all trials of the longest sequence first
    assert read_records(search.folder, search.videos, weights) == []
    followed.clear()
    monkeypatch.setattr(
        SettingSearch, "save", lambda self, name, *rest: (followed.append(name), kept(self, name, *rest))
    )
    run_search(search, ["cpu"])
    assert followed == ["t3/a", "t4/a", "t5/a"]
    records = [read_records(item.folder, item.videos, weights) for item in (whole, search)]
    for one, other in zip(*records, strict=True):
        assert one["figures"] == other["figures"] and one["videos"] == other["videos"]
    (search.folder / "t4" / "record.json").unlink()  # died between the last box and the record
    followed.clear()
    run_search(search, ["cpu"])
    assert not followed and len(read_records(search.folder, search.videos, weights)) == 3


def test_one_trial_after_the_other_leaves_complete_trials(weights, tmp_path, monkeypatch):
    search, followed, kept = replace(make_search(tmp_path, weights), together=2), [], SettingSearch.save
    monkeypatch.setattr(
        SettingSearch, "save", lambda self, name, *rest: (followed.append(name), kept(self, name, *rest))
    )
    run_search(search, ["cpu"])
    assert followed == ["t3/b", "t4/b", "t3/a", "t4/a", "t5/b", "t5/a"]
    followed.clear()
    for name in ("t3/a", "t5/b"):
        (tmp_path / f"{name}.txt").unlink()
    run_search(replace(search, together=1), ["cpu"])
    assert followed == ["t3/a", "t5/b"]


class CountedFrames(MovingSquare):
    """Writes down which frames were decoded."""

    log = []

    def __getitem__(self, index):
        self.log.append((self.size, index))
        return super().__getitem__(index)


TOGETHER = {
    "siamrpn": ("TEST.PENALTY_K=0.6", "TEST.WINDOW_INFLUENCE=0.9", "TEST.SIZE_LR=0.9"),
    "dasiamrpn-long": ("TEST.LONG_TERM.LOW=0.01", "TEST.SIZE_LR=0.9", "TEST.DISTRACTOR.GAIN=0.9"),
    "fear": ("TEST.PENALTY_K=2.0", "TEST.SEARCH_FACTOR=3.0", "TEST.TEMPLATE_UPDATE.INTERVAL=2"),
    "iimf_lite": ("TEST.PENALTY_K=2.0", "TEST.FUSION=max", "TEST.MOTION=0.5"),
    "siamdma": ("TEST.PENALTY_K=0.6", "TEST.WINDOW_INFLUENCE=0.9", "TEST.IR_INIT=visible"),
    "iimf_track": ("TEST.SEARCH_FACTOR=3.0", "TEST.SIZE_RATE=0.5", "TEST.CALIBRATE=true"),
}


@pytest.mark.parametrize("variant", TOGETHER)
def test_settings_together_write_what_each_alone_writes(tmp_path, variant):
    """Byte for byte, and every frame is decoded once."""
    path = tmp_path / "w.safetensors"
    save_file(micro.model(variant).state_dict(), path)
    made = [config(variant), *(config(variant, change) for change in TOGETHER[variant])]
    own = tuple(Trial(f"t{k}", {}, cfg) for k, cfg in enumerate(made))
    boxes = np.array([[60 + 3 * k, 50 + 2 * k, 30, 20] for k in range(6)])
    rng = np.random.default_rng(0)
    sequences = tuple(
        Sequence(name, CountedFrames(boxes[:length], size=(180, width), colour=tuple(rng.integers(50, 250, 6))),
                 boxes[:length].astype(float))
        for name, length, width in (("a", 6, 240), ("b", 4, 250))
    )  # fmt: skip
    ready, videos = tuning.scored_sequences(sequences)
    search = SettingSearch(tmp_path / "all", own, ready, videos, PLAIN, path)
    CountedFrames.log.clear()
    run_search(search, ["cpu"])
    decoded = sorted(read for read in CountedFrames.log if 0 < read[1] < len(sequences[1]) - 1)  # ends: checksums, too
    assert decoded == [((180, 240), 1), ((180, 240), 2), ((180, 250), 1), ((180, 250), 2)]
    results = set()
    for trial in own:
        for sequence in sequences:
            follow(load_tracker(trial.cfg, path, "cpu"), [sequence], partial(write_result, tmp_path / trial.name))
            for file in (f"{sequence.name}.txt", f"{sequence.name}_confidence.txt"):
                alone = (tmp_path / trial.name / file).read_bytes()
                assert (search.folder / trial.name / file).read_bytes() == alone, (trial.name, file)
        results.add(b"".join((tmp_path / trial.name / file).read_bytes() for file in ("a.txt", "a_confidence.txt")))
    assert len(results) > 1  # the settings do differ


def test_where_no_bit_changes_all_settings_share_a_pass(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "w.safetensors"
    save_file(micro.model("fear").state_dict(), path)
    configs = {f"t{k}": config("fear", f"TEST.PENALTY_K={k / 10}") for k in range(3)}
    sequence, sizes = moving_sequence("s", 6, (3, 2)), {}
    for joint in ("checked", "always"):
        many = load_settings(configs, path, "cpu", joint)
        network, calls = next(iter(many._trackers.values())).method.network, []
        network.register_forward_hook(lambda module, given, made, calls=calls: calls.append(len(given[1])))
        follow_together(many, [replace(sequence, name=f"{trial}/s") for trial in configs])
        sizes[joint] = calls
    assert sizes == {"checked": [1, 1, 1, 3] * 2 + [3] * 3, "always": [3] * 5}  # the first two are compared
    assert caplog.messages == ["one forward pass for 3 settings: its numbers are those of single passes, bit for bit"]


def test_where_rounding_differs_each_setting_has_its_pass(caplog, monkeypatch):
    """A network whose numbers depend on how many images it sees."""
    caplog.set_level("INFO")

    class Unsteady(FakeModel):
        def forward(self, memory, search):
            made = super().forward(memory, search)
            return made._replace(mask=made.mask ^ (len(search) > 1))

    network = Unsteady()
    many = ManySettings(network, dict.fromkeys(("t0", "t1"), CONFIG), "cpu")
    sequence = moving_sequence("s", 6)
    names = [replace(sequence, name=f"{trial}/s") for trial in ("t0", "t1")]
    network.calls.clear()
    boxes = follow_together(many, names)
    alone = follow_alone(make_tracker(FakeModel()), sequence)
    np.testing.assert_array_equal(boxes, [alone, alone])
    assert network.calls == [1, 1, 2] + [1, 1] * 4
    assert caplog.messages == ["a pass for each of 2 settings: one for all rounds differently here (--joint always: "
                               "faster on a GPU)"]  # fmt: skip


def test_settings_of_different_streams_are_refused():
    network = micro.model("fear")
    configs = {stream: config("fear", f"TEST.STREAM={stream}") for stream in ("visible", "infrared")}
    with pytest.raises(InputError, match="--search: these settings look at different streams; search with one of them"):
        ManySettings(network, configs, "cpu")


def test_shared_frames_are_decoded_once_and_forgotten():
    CountedFrames.log.clear()
    shared = SharedFrames(CountedFrames(np.tile([[1, 2, 3, 4]], (5, 1))), 3)
    first, second, third = (shared[2] for _ in range(3))
    assert first is second is third and len(CountedFrames.log) == 1 and not shared._known
    shared[2]
    assert len(CountedFrames.log) == 2 and len(shared) == 5
    broken = SharedFrames(MovingSquare(np.tile([[1, 2, 3, 4]], (5, 1)), broken=1), 2)
    for _ in range(2):
        with pytest.raises(InputError, match="image does not exist"):
            broken[1]


def test_half_steps_around_the_best_are_rounded():
    axes = parse("TEST.A=0.05,0.1,0.15,0.2", "TEST.B=0.3,0.4,0.5", "TEST.M=x,y", "TEST.N=0.01:1:3:log")
    best = {"TEST.A": 0.15, "TEST.B": 0.5, "TEST.M": "y", "TEST.N": 0.1, "TEST.OTHER": 9}
    found = refine(axes, best, 1)
    assert len(found) == 3 * 3 * 1 * 3 - 1 and all(setting["TEST.M"] == "y" for setting in found)
    values = {key: sorted({setting[key] for setting in found}) for key in best if key != "TEST.OTHER"}
    assert values["TEST.A"] == [0.125, 0.15, 0.175]
    assert values["TEST.B"] == [0.45, 0.5, 0.55]  # beyond the end of the grid, too
    assert values["TEST.N"] == [0.03162, 0.1, 0.3162]
    off = refine(parse("TEST.A=0.05,0.1,0.15,0.2"), {"TEST.A": 0.125}, 2)
    assert [setting["TEST.A"] for setting in off] == [0.1125, 0.1375]
    assert refine(parse("TEST.A=0.28,0.3"), {"TEST.A": 0.3}, 1)[0] == {"TEST.A": 0.29}  # not 0.28 or 0.289999
    whole = refine(parse("TEST.SEARCH_SIZE=60,70"), {"TEST.SEARCH_SIZE": 70}, 1)
    assert [setting["TEST.SEARCH_SIZE"] for setting in whole] == [65, 75]
    assert refine(parse("TEST.A=1,2,x", "TEST.B=true,false"), {"TEST.A": 1, "TEST.B": True}, 1) == []


def test_settings_that_a_key_does_not_allow_are_counted():
    made, refused = allowed_trials("iimf_track", "tiny", [], [{"TEST.SEARCH_FACTOR": value} for value in (0.5, 3, 11)])
    assert [trial.setting for trial in made] == [{"TEST.SEARCH_FACTOR": 3}] and refused == 2


def test_a_random_part_of_the_sequences_is_seeded_and_grows():
    pool = tuple(moving_sequence(f"s{k:02d}", 2) for k in range(20))
    ready, videos = tuning.scored_sequences(pool)

    def names(count, seed):
        chosen, scored = draw_sequences(ready, videos, count, seed)
        assert [one.name for one in chosen] == [one.name for one in scored]
        return [one.name for one in chosen]

    five, ten = names(5, 1), names(10, 1)
    assert len(set(five)) == 5 and set(five) < set(ten) and five == sorted(five) and names(5, 1) == five != names(5, 2)
    with pytest.raises(InputError, match="--subset 21: the set has 20 sequences that can be scored"):
        names(21, 0)


@pytest.mark.parametrize("tracker", ["siamrpn", "dasiamrpn", "fear", "iimf_lite", "iimf_track", "siamdma"])
def test_every_tracker_has_a_grid_that_its_keys_allow(tracker):
    cfg = config(tracker)
    folder, name, own = VARIANTS[tracker]
    settings = grid([parse_axis(text, flatten(cfg)) for text in network_class(cfg).method_class.search_grid])
    assert len(settings) >= 4 and len(make_trials(folder, name, own, settings)) == len(settings)
    if tracker in ("siamrpn", "siamdma"):
        assert len(settings) == 36 and settings[0] == {
            "TEST.PENALTY_K": 0.05, "TEST.WINDOW_INFLUENCE": 0.3, "TEST.SIZE_LR": 0.3}  # fmt: skip


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


SET = TuningSet("y", ("a", "b"), 5, seed=3)


@pytest.fixture
def found():
    rows = [(0, 1, 0.2), (0, 2, 0.4), (1, 1, 0.6), (1, 2, 0.5), (1, 3, 0.1)]
    records = [record(f"r{k}", success, A=float(a), B=b) for k, (a, b, success) in enumerate(rows)]
    return rank_trials("x on y", "SR", records, records[1]["test"], tuned_on=SET)


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
    assert stored["tuned_on"] == {"name": "y", "sequences": ["a", "b"], "total": 5, "seed": 3, "test": False}
    rows = list(csv.reader((tmp_path / "trials.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["trial", "TEST.A", "TEST.B", "SR", "PR", "TNR", "frames/s", "tuned on"]
    assert rows[1] == ["r2", "1", "1", "0.6", "0.4", "", "20.0", "y, 2 of 5 sequences, drawn with seed 3"]
    assert len(rows) == 6 and "tuned on y, 2 of 5 sequences, drawn with seed 3" in table.notes
    by_precision = rank_trials("x", "PR", found.records, found.configured, tuned_on=replace(SET, test=True))
    assert "y is a test set: do not publish figures on it" in "".join(trials_table(by_precision).notes)
    assert "(A TEST SET)" in str(by_precision.tuned_on)
    assert by_precision.best["folder"] == "r4" and default_objective(found.records) == "SR"
    with pytest.raises(InputError, match="--objective pr: no such figure; there are SR, PR, TNR"):
        rank_trials("x", "pr", found.records, found.configured, tuned_on=SET)
    with pytest.raises(InputError, match="no trial is complete yet"):
        rank_trials("x", "SR", [], found.configured, tuned_on=SET)


def test_equal_trials_have_an_order_that_no_name_changes():
    """The nearest to the configuration comes first, then the one with the smaller values, numbers by size."""
    rows = [(0.5, 2, "x"), (0.5, 3, "x"), (0.5, 10, "x"), (0.5, 2, "y"), (0.7, 1, "x"), (0.7, 1, "y")]
    expected = [(0.9, 5, "z"), *rows, (float("nan"), 2, "x")]
    settings = {"A": rows[0][0], "B": rows[0][1], "C": rows[0][2]}
    configured = {f"TEST.{key}": value for key, value in settings.items()} | {"TEST.SAME": 1}
    success = [0.8, *[0.6] * len(rows), None]
    rng = np.random.default_rng(0)
    for _ in range(10):
        names = rng.permutation(len(expected))
        records = [
            record(f"{name:02}", good or 0.0, A=a, B=b, C=c)
            for name, good, (a, b, c) in zip(names, success, expected, strict=True)
        ]
        records[-1]["figures"]["SR"] = None
        by_name = sorted(records, key=lambda one: one["folder"])
        assert sort_records(by_name, "SR", configured) == records
        assert rank_trials("x", "SR", by_name, configured, tuned_on=SET).best == records[0]


def test_map_has_a_cell_per_pair_and_marks_the_best(found):
    axes = map_figure(found, [("TEST.A", "TEST.B")]).axes[0]
    cells = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(cells, [[20, 60], [40, 50], [np.nan, 10]])
    assert [text.get_text() for text in axes.texts] == ["20.0", "60.0", "40.0", "50.0", "10.0"]
    marks = {line.get_marker(): (line.get_xdata()[0], round(line.get_ydata()[0])) for line in axes.lines}
    assert marks == {"*": (1, 0), "o": (0, 1)}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2", "3"]
    with pytest.raises(InputError, match=r"--map TEST\.SAME: the trials differ in TEST\.A, TEST\.B"):
        map_figure(found, [("TEST.A", "TEST.SAME")])


@pytest.mark.parametrize("count", [2, 3])
def test_a_long_title_stays_inside_the_picture(count):
    rows = [(0.0, 1.0, 5.0), (1.0, 2.0, 6.0), (1.0, 1.0, 7.0)]
    records = [record(f"r{k}", k / 4, A=a, B=b, C=c) for k, (a, b, c) in enumerate(rows)]
    name = "siamdma/synthetic_small_cdsa_aux on lasher_unaligned_val97 without the sequences of another one"
    found = rank_trials(name, "SR", records, {}, tuned_on=SET)
    figure = map_figure(found, key_pairs(found)[: 2 * count - 3])
    FigureCanvasAgg(figure).draw()
    title = figure.axes[0].title if count == 2 else figure._suptitle
    box, whole = title.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1 and box.y1 <= whole.y1 and box.width > whole.width / 3


def test_a_panel_for_each_pair_of_keys():
    rows = [(a, b, c) for a in (0.0, 1.0) for b in (1.0, 2.0) for c in (5.0, 6.0, 7.0)]
    records = [record(f"r{k}", k / 20, A=a, B=b, C=c) for k, (a, b, c) in enumerate(rows)]
    found = rank_trials("x", "SR", records, {}, tuned_on=SET)
    assert key_pairs(found) == [("TEST.A", "TEST.B"), ("TEST.A", "TEST.C"), ("TEST.B", "TEST.C")]
    figure = map_figure(found, key_pairs(found))
    panels = [axes for axes in figure.axes if axes.images and axes.get_xlabel()]
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in panels] == key_pairs(found)
    np.testing.assert_allclose(panels[1].images[0].get_array(), [[15, 45], [20, 50], [25, 55]])
    assert figure._suptitle.get_text() == "x: SR, best over the other keys"


def test_the_best_over_other_keys_and_dots_for_draws():
    records = [record(f"r{k}", k / 10, A=float(k % 2), B=float(k // 2 % 2), C=float(k // 4)) for k in range(8)]
    axes = map_figure(rank_trials("x", "SR", records, {}, tuned_on=SET), [("TEST.A", "TEST.B")]).axes[0]
    assert axes.get_title().endswith("best over the other keys")
    np.testing.assert_allclose(axes.images[0].get_array(), [[40, 50], [60, 70]])
    lists = [record("r0", 0.2, A=1.0, B=[1, 2]), record("r1", 0.4, A=2.0, B=[3]), record("old", 0.9, A=1.0)]
    axes = map_figure(rank_trials("x", "SR", lists, {}, tuned_on=SET), [("TEST.A", "TEST.B")]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["[1,2]", "[3]"]
    drawn = [record(f"r{k}", k / 99, A=k / 99, B=(k * 37 % 100) / 99) for k in range(100)]
    axes = map_figure(rank_trials("x", "SR", drawn, {}, tuned_on=SET), [("TEST.A", "TEST.B")]).axes[0]
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
        "trials.csv",
        "map.png",
        "data.json",
    }
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/[ab].txt")}
    assert len(before) == 10
    assert "7 trials" in command("--search", "TEST.SEARCH_FACTOR=3.3:3.7", "--random", "2", "--seed", "5")
    assert "7 trials by F" in command("--objective", "F")  # nothing to search: what is there
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_command_refines_on_a_part_of_the_set(command, tmp_path, caplog):
    caplog.set_level("INFO")
    words = ["--search", "TEST.SEARCH_FACTOR=9,10", "--refine", "2", "--subset", "1", "--seed", "4", "--together", "2"]
    output = command(*words)
    said = [line for line in caplog.messages if line.startswith("refinement")]
    assert len(said) == 2 and "refinement 1 of 2: " in said[0] and "settings around TEST.SEARCH_FACTOR=" in said[0]
    stored = json.loads((tmp_path / "out" / "trials.json").read_text())
    tried = {trial["test"]["TEST.SEARCH_FACTOR"] for trial in stored["trials"]}
    assert {9.0, 10.0} < tried and all(0 < value <= 10 for value in tried) and len(tried) >= 5
    assert stored["tuned_on"]["total"] == 2 and len(stored["tuned_on"]["sequences"]) == 1
    assert "1 of 2 sequences, drawn with seed 4" in output and command(*words) == output


def test_command_refuses_in_one_line(command, tmp_path):
    for words, message in (
        (["--search", "TEST.SERCH_FACTOR=3,4"], r"TEST\.SERCH_FACTOR: unknown key; did you mean TEST\.SEARCH_FACTOR"),
        (["--search", "TEST.SEARCH_FACTOR=a,b"], r"TEST\.SEARCH_FACTOR: 'a' is not allowed; expected a number"),
        (["--random", "5"], "--random 5: expected 1 or more draws, and keys to draw"),
        (
            ["--random", "2", "--refine", "--search", "TEST.SEARCH_FACTOR=3:4"],
            "--refine: .* random settings have no",
        ),
        (["--refine"], "--refine: half steps of a grid are tried, but there is no grid; add --search"),
        (["--together", "0"], "--together 0: expected 1 or more"),
        (["--subset", "3", "--search", "TEST.SEARCH_FACTOR=3,4"], "--subset 3: the set has 2 sequences"),
        ([], "no trial is complete yet"),
    ):
        with pytest.raises(InputError, match=message):
            command(*words)
    assert not (tmp_path / "out").exists()


def test_weights_that_cannot_be_used_leave_nothing(command, tmp_path):
    (tmp_path / "torn.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match="torn.pth: is not a whole checkpoint"):
        command("--search", "TEST.SEARCH_FACTOR=3,4", "--checkpoint", str(tmp_path / "torn.pth"))
    assert not (tmp_path / "out").exists()


def test_long_term_rules_are_not_measured_twice(weights, tmp_path):
    search = replace(make_search(tmp_path, weights), protocol=VOT_LT)
    run_search(replace(search, trials=trials()[:1]), ["cpu"])
    (only,) = read_records(tmp_path, search.videos, weights)
    assert list(only["figures"]) == ["F", "Pr", "Re"] and default_objective([only]) == "F"

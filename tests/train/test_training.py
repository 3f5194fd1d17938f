"""Training: which pairs are drawn, how crops are made, the loop, and runs that stop and go on."""

import dataclasses
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import micro
import numpy as np
import pytest
import runs
import torch
from compare import same

from lib.core.checkpoint import load_checkpoint, save_checkpoint
from lib.core.errors import InputError
from lib.datasets.sequence import Frames, Sequence
from lib.models import build_model
from lib.train import resuming, run
from lib.train.checkpoints import find_newest
from lib.train.data import augment, drawn
from lib.train.data.augment import CropRecipe, draw_crop, jitter
from lib.train.data.loader import build_loader
from lib.train.data.sample import read_batches
from lib.train.data.sampler import CausalPairs
from lib.train.meters import Means
from lib.train.optim import build_optimizer
from lib.train.schedule import build_scheduler
from lib.train.trainer import seed_epoch

ROOT = Path(__file__).parents[2]
STEPS = ["TRAIN.BATCH_SIZE=2", "DATA.TRAIN.SAMPLE_PER_EPOCH=6", "DATA.VAL.SAMPLE_PER_EPOCH=3", "TRAIN.EPOCH=3",
         "TRAIN.NUM_WORKER=0", "TRAIN.PRINT_INTERVAL=1", "TRAIN.VAL_EPOCH_INTERVAL=1", "TRAIN.AMP=false"]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Squares(Frames):
    """A bright square on black, elsewhere in every frame, in both modalities."""

    boxes: tuple[tuple[int, int, int, int], ...]
    broken: bool = False
    modalities: tuple[str, ...] = ("visible", "infrared")

    def __len__(self):
        return len(self.boxes)

    def __getitem__(self, index):
        if self.broken:
            raise InputError(f"frame {index}: image cannot be decoded")
        x, y, w, h = self.boxes[index]
        image = np.zeros((120, 160, 3), np.uint8)
        image[y : y + h, x : x + w] = 200
        return [image, image]


def squares(length=8, *, broken=False, seed=0):
    rng = np.random.default_rng(seed)
    places, sizes = rng.integers(40, 80, (length, 2)), rng.integers(16, 32, (length, 2))
    boxes = np.concatenate([places, sizes], axis=1)
    return Sequence("squares", Squares(tuple(map(tuple, boxes.tolist())), broken), boxes.astype(float))


def sequence(valid_rows, length, annotated=None):
    boxes = np.zeros((length, 4))
    boxes[valid_rows] = [5, 5, 10, 10]
    frames = Squares(((5, 5, 10, 10),) * (length if annotated is None else int(annotated[-1]) + 1))
    return Sequence("s", frames, boxes, annotated=annotated)


def draw(pairs, number=400):
    rng = np.random.default_rng(0)
    return [pairs.draw(rng) for _ in range(number)]


def test_search_frame_comes_after_the_template_within_the_interval():
    valid = [row for row in range(60) if row % 7]
    pairs = draw(CausalPairs([[sequence(valid, 60)]], [1], 10), 3000)
    assert {pair.template for pair in pairs} == set(valid[:-1])
    assert {pair.search - pair.template for pair in pairs} == set(range(1, 11))
    assert {pair.search for pair in pairs} == set(valid[1:])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([0, 8, 10, 11], {8, 10}), ([0, 12, 14, 16], {12, 14}), ([0, 15, 16], {15}), ([0, 16, 20, 21], {16, 20})],
)
def test_interval_of_ten_grows_by_five_until_it_holds_a_frame(rows, expected):
    pairs = draw(CausalPairs([[sequence(rows, 100)]], [1], 10))
    assert {pair.search for pair in pairs if pair.template == 0} == expected


def test_interval_counts_frames_where_every_tenth_is_annotated():
    video = sequence(range(10), 10, annotated=np.arange(0, 100, 10))
    assert {pair.search - pair.template for pair in draw(CausalPairs([[video]], [1], 30))} == {1, 2, 3}
    assert {pair.search - pair.template for pair in draw(CausalPairs([[video]], [1], 4))} == {1}


def test_data_sets_are_drawn_by_ratio():
    few, many = sequence([0, 1], 2), sequence([0, 1], 2)
    pairs = draw(CausalPairs([[few], [many] * 50], [3, 1], 10), 2000)
    assert np.mean([pair.sequence is few for pair in pairs]) == pytest.approx(0.75, abs=0.04)


def test_covered_targets_are_not_drawn():
    share = np.array([1, 0.1, 1, 0.05, 1])
    video = dataclasses.replace(sequence(range(5), 5), visible_share=share)
    drawn = {row for pair in draw(CausalPairs([[video]], [1], 10)) for row in (pair.template, pair.search)}
    assert drawn == {0, 2, 4}


@pytest.mark.parametrize("datasets", [[[sequence([0], 5)]], [[sequence([], 5)]]])
def test_data_set_without_a_pair_is_one_clear_line(datasets):
    with pytest.raises(InputError, match="no sequence with two visible frames"):
        draw(CausalPairs(datasets, [1], 10), 1)
    with pytest.raises(InputError, match="a data set without a sequence"):
        CausalPairs([[]], [1], 10)


RECIPE = CropRecipe(factor=4.0, size=128, center_jitter=3.0, scale_jitter=0.25)
BOX = np.array([70.0, 40, 24, 16])


def marked(seed):
    """A view of a marked box that lies wholly in its crop; None where the draw has it otherwise."""
    image = np.zeros((120, 160, 6), np.uint8)
    image[40:56, 70:94] = 200
    view = draw_crop(lambda _: image, BOX, RECIPE, np.random.default_rng(seed))
    inside = view is not None and (view.box[:2] > 0.02).all() and (view.box[:2] + view.box[2:] < 0.96).all()
    return view if inside else None


def test_box_follows_the_pixels():
    views = [view for seed in range(150) if (view := marked(seed)) is not None]
    assert len(views) > 60
    for view in views:
        assert view.image.shape == (128, 128, 6) and view.image.dtype == np.uint8
        rows, columns = (np.flatnonzero((view.image[..., 5] > 80).any(axis=axis)) for axis in (1, 0))
        assert ((view.image[..., 0] > 80) == (view.image[..., 5] > 80)).all(), "modalities share the geometry"
        found = np.array([columns.mean(), rows.mean(), len(columns), len(rows)])
        scale = view.box[2] * 128 / 24  # crop pixels per frame pixel
        expected = np.array([*(view.box[:2] + view.box[2:] / 2), *view.box[2:]]) * 128
        # The crop's corner is a whole pixel of the frame: half a pixel of the frame either way, and the edge's blur.
        assert np.abs(found - expected).max() <= 0.5 * scale + 1.5


def test_flip_mirrors_pixels_and_box(monkeypatch):
    views = {}
    for flip in (0.0, 1.0):
        monkeypatch.setattr(augment, "FLIP", flip)
        views[flip] = [marked(seed) for seed in range(40)]
    pairs = [(a, b) for a, b in zip(views[0.0], views[1.0], strict=True) if a is not None and b is not None]
    assert len(pairs) > 10
    for plain, mirrored in pairs:
        assert np.array_equal(mirrored.image, plain.image[:, ::-1])
        centre, other = (view.box[0] + view.box[2] / 2 for view in (plain, mirrored))
        assert other * 128 == pytest.approx(127 - centre * 128)  # of pixels counted from 0
        np.testing.assert_allclose(mirrored.box[1:], plain.box[1:])


def test_brightness_and_flips_are_drawn_as_configured():
    views = [view for seed in range(400) if (view := marked(seed)) is not None]
    peaks = np.array([view.image.max() for view in views])
    assert 160 <= peaks.min() < 170 and 230 < peaks.max() <= 240
    assert all(view.image[..., c].max() == view.image[..., 0].max() for view in views[:20] for c in range(6))


def test_jitter_of_the_recipe():
    rng = np.random.default_rng(0)
    boxes = np.array([jitter(BOX, RECIPE, rng) for _ in range(3000)])
    scale = np.log(boxes[:, 2:] / BOX[2:])
    np.testing.assert_allclose(scale.std(axis=0), 0.25, rtol=0.05)
    np.testing.assert_allclose(scale.mean(axis=0), 0, atol=0.02)
    shift = boxes[:, :2] + boxes[:, 2:] / 2 - BOX[:2] - BOX[2:] / 2
    reach = shift / np.sqrt(boxes[:, 2:].prod(axis=1))[:, None]
    assert np.abs(reach).max() <= 1.5 and np.abs(reach).max() > 1.45
    np.testing.assert_allclose(reach.std(axis=0), 3 / np.sqrt(12), rtol=0.05)
    still = CropRecipe(2.0, 64, 0, 0)
    np.testing.assert_array_equal(jitter(BOX, still, rng), BOX)


@pytest.mark.parametrize("box", [[70, 40, 0, 16], [-300, 40, 24, 16], [np.nan, 40, 24, 16]])
def test_useless_draws_are_none(box):
    image = np.zeros((120, 160, 6), np.uint8)
    assert draw_crop(lambda _: image, np.array(box, float), CropRecipe(2.0, 64, 0, 0), np.random.default_rng(0)) is None


def test_draw_whose_target_left_the_crop_is_none():
    image, far = np.zeros((1200, 1600, 3), np.uint8), CropRecipe(1.0, 64, 8.0, 0)
    box = np.array([700.0, 500, 20, 20])
    draws = [draw_crop(lambda _: image, box, far, np.random.default_rng(seed)) for seed in range(200)]
    kept = [view for view in draws if view is not None]
    assert 0 < len(kept) < 20  # (1 / 8) squared
    centres = np.array([view.box[:2] + view.box[2:] / 2 for view in kept])
    assert ((centres >= -1 / 64) & (centres < 1)).all()


def batches(cfg, datasets=None, *, stage=0, epoch=1):
    made = build_loader(cfg, datasets or [[squares(), squares(seed=1)]], stage=stage)
    made.sampler.epoch = epoch
    return list(read_batches(made))


def config(*changes, variant="iimf_track"):
    return micro.config(variant, "DATA.TRAIN.DATASETS_NAME=[x]", "DATA.TRAIN.DATASETS_RATIO=[1]",
                        "DATA.VAL.DATASETS_NAME=[x]", "DATA.VAL.DATASETS_RATIO=[1]", *STEPS, *changes)  # fmt: skip


def equal(first, second):
    pairs = [pair for x, y in zip(first, second, strict=True) for pair in zip(x.batch, y.batch, strict=True)]
    return all(torch.equal(a, b) for a, b in pairs if a is not None)


def test_samples_do_not_depend_on_the_number_of_workers():
    alone = batches(config())
    assert len(alone) == 3 and alone[0].batch.search.shape == (2, 2, 3, 64, 64)
    assert alone[0].batch.template.dtype == torch.uint8 and alone[0].batch.search_box.dtype == torch.float32
    for workers in (1, 2):
        assert equal(alone, batches(config(f"TRAIN.NUM_WORKER={workers}")))
    assert not equal(alone, batches(config(), epoch=2))
    assert not equal(alone, batches(config("TRAIN.SEED=1")))
    assert not equal(alone, batches(config("DATA.VAL.SAMPLE_PER_EPOCH=6"), stage=1))


def test_validation_draws_other_pairs_than_training():
    cfg = config("DATA.VAL.SAMPLE_PER_EPOCH=6")
    first, second = (batches(cfg, stage=stage)[0].batch.search_box for stage in (0, 1))
    assert not torch.equal(first, second) and torch.equal(batches(cfg, stage=1)[0].batch.search_box, second)


def test_model_of_one_modality_gets_one():
    assert batches(config(variant="ostrack"))[0].batch.search.shape == (2, 1, 3, 64, 64)


def test_processes_share_an_epoch_without_waiting_for_each_other(monkeypatch):
    whole = batches(config("DATA.TRAIN.SAMPLE_PER_EPOCH=7", "TRAIN.BATCH_SIZE=1"))
    monkeypatch.setattr(drawn, "world_size", lambda: 2)
    parts = []
    for number in (0, 1):
        monkeypatch.setattr(drawn, "rank", lambda number=number: number)
        parts.append(batches(config("DATA.TRAIN.SAMPLE_PER_EPOCH=7", "TRAIN.BATCH_SIZE=1")))
    assert [len(part) for part in parts] == [3, 3]
    together = itertools.chain.from_iterable(zip(*parts, strict=True))
    assert equal(whole[:6], list(together))


def test_epoch_without_a_step_is_one_clear_line():
    with pytest.raises(
        InputError, match=r"DATA\.TRAIN\.SAMPLE_PER_EPOCH: 1 is less than one batch of 2.*lower TRAIN\.BATCH"
    ):
        build_loader(config("DATA.TRAIN.SAMPLE_PER_EPOCH=1"), [[squares()]], stage=0)


def test_unreadable_samples_are_counted_warned_of_once_and_passed_over(caplog):
    drawn._warn_once.cache_clear()
    mixed = [[squares(), squares(2, broken=True)]]
    with caplog.at_level(logging.WARNING):
        samples = batches(config("DATA.TRAIN.SAMPLE_PER_EPOCH=40"), mixed)
    assert sum(int(sample.unreadable.sum()) for sample in samples) > 5
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["unreadable training sample skipped: frame 0: image cannot be decoded"]
    assert all((sample.batch.search.flatten(1).amax(1) > 0).all() for sample in samples)


@pytest.mark.parametrize("workers", [0, 1])
def test_data_of_which_nothing_can_be_read_is_one_clear_line(workers):
    with pytest.raises(InputError) as raised:
        batches(config(f"TRAIN.NUM_WORKER={workers}"), [[squares(broken=True)]])
    assert re.fullmatch(r"no usable training pair in 200 draws; frame \d: image cannot be decoded", str(raised.value))


@pytest.mark.parametrize(
    ("variant", "sot", "new"),
    [
        ("iimf_track", False, lambda name: not name.startswith("backbone.")),
        ("iimf_track", True, lambda name: "tbsi" in name),
        ("ostrack", False, lambda name: name.startswith("box_head.")),
    ],
)
def test_parameter_groups_of_the_recipes(variant, sot, new):
    cfg = config(f"TRAIN.SOT_PRETRAIN={str(sot).lower()}", "TRAIN.LR=0.0004", variant=variant)
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [{names[id(parameter)] for parameter in group["params"]} for group in optimizer.param_groups]
    expected = {name for name in names.values() if new(name)}
    assert groups == [expected, set(names.values()) - expected]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([4e-4, 4e-5])
    assert {group["weight_decay"] for group in optimizer.param_groups} == {1e-4}
    assert isinstance(optimizer, torch.optim.AdamW)


def test_rate_falls_to_a_tenth_after_every_drop_epoch():
    cfg = config("TRAIN.LR=0.001", "TRAIN.LR_DROP_EPOCH=2")
    optimizer = build_optimizer(cfg, build_model(cfg))
    scheduler, rates = build_scheduler(cfg, optimizer), []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(np.array(rates)[:, 0], [1e-3, 1e-3, 1e-4, 1e-4, 1e-5])
    np.testing.assert_allclose(np.array(rates)[:, 1], [1e-4, 1e-4, 1e-5, 1e-5, 1e-6])


def build(cfg, folder, **more):
    """A trainer on the CPU, with data sets of no folder."""
    loaders = run.build_loaders(cfg, {})
    return run.build_trainer(cfg, build_model(cfg), loaders, folder, device=torch.device("cpu"), **more)


@pytest.fixture
def make_trainer(tmp_path, monkeypatch):
    """Trainers over squares, in this process and on the CPU."""
    for name in ("load_training_set", "load_validation_set"):
        monkeypatch.setattr(run, name, lambda name, folders: [squares(), squares(seed=1)])

    def make(*changes, variant="iimf_track", run_log=None):
        cfg = config(*changes, variant=variant)
        run.seed_everything(cfg.TRAIN.SEED)
        return build(cfg, tmp_path, run_log=run_log)

    return make


def weights(trainer):
    return {key: value.clone() for key, value in trainer.model.state_dict().items()}


def test_training_reduces_the_loss_and_moves_every_weight(make_trainer, caplog):
    trainer = make_trainer(
        "TRAIN.LR=0.002", "TRAIN.BACKBONE_MULTIPLIER=1", "TRAIN.EPOCH=8", "DATA.TRAIN.SAMPLE_PER_EPOCH=16",
        "TRAIN.BATCH_SIZE=8", "TRAIN.VAL_EPOCH_INTERVAL=8", "TRAIN.SAVE_EPOCH_INTERVAL=8", run_log=MemoryLog(),
    )  # fmt: skip
    before = weights(trainer)
    with caplog.at_level(logging.INFO):
        trainer.run()
    after = weights(trainer)
    assert [key for key in before if torch.equal(before[key], after[key])] == []
    losses = [value for name, value, step in trainer.run_log.scalars if name == "train/loss"]
    assert losses[-1] < 0.8 * losses[0]
    lines = [record.getMessage() for record in caplog.records]
    assert re.search(r"train epoch 1/8  step 2/2  loss \d+\.\d{4}  giou .* pairs/s  data +\d+%  to go 0:", lines[1])
    assert any(line.startswith("val   epoch 8/8  step") for line in lines)


class MemoryLog:
    """What TensorBoard would have got."""

    def __init__(self):
        self.scalars, self.images, self.histograms = [], [], []

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_image(self, name, image, step, dataformats):
        self.images.append((name, image, step, dataformats))

    def add_histogram(self, name, values, step):
        self.histograms.append((name, values, step))

    def flush(self):
        pass


def one_step(make_trainer, *changes, scale=None):
    """The change of all weights in one step of plain gradient descent at rate 1."""
    trainer = make_trainer("DATA.TRAIN.SAMPLE_PER_EPOCH=2", "TRAIN.DROP_PATH_RATE=0", *changes)
    parameters = list(trainer.model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    trainer.optimizer = torch.optim.SGD(parameters, lr=1.0)
    trainer.scheduler = build_scheduler(trainer.cfg, trainer.optimizer)
    if scale is not None:
        trainer.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    trainer.train_epoch(1)
    return torch.cat([(new.detach() - old).flatten() for new, old in zip(parameters, before, strict=True)])


def test_gradients_are_clipped_at_their_true_size(make_trainer):
    free = one_step(make_trainer, "TRAIN.GRAD_CLIP_NORM=0")
    assert free.norm() > 1
    clipped = one_step(make_trainer, "TRAIN.GRAD_CLIP_NORM=0.1")
    assert clipped.norm().item() == pytest.approx(0.1, rel=1e-3)
    scaled = one_step(make_trainer, "TRAIN.GRAD_CLIP_NORM=0.1", scale=1024.0)
    torch.testing.assert_close(scaled, clipped, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(clipped, free * (0.1 / free.norm()), rtol=1e-3, atol=1e-6)


def test_mixed_precision_on_the_cpu_is_bfloat16(make_trainer):
    seen = []
    trainer = make_trainer("TRAIN.AMP=true", "TRAIN.EPOCH=1")
    step = trainer.step.forward
    trainer.step.forward = lambda batch: seen.append(torch.get_autocast_dtype("cpu")) or step(batch)
    before = weights(trainer)
    trainer.run()
    assert set(seen) == {torch.bfloat16} and len(seen) == 3
    assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())
    assert all(torch.isfinite(value).all() for value in trainer.model.state_dict().values())
    assert not same(before, weights(trainer))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_training_and_saves_nothing(make_trainer, tmp_path, value):
    trainer = make_trainer("TRAIN.EPOCH=2")
    trainer.epoch = 1
    save_checkpoint(trainer.path("ep0001"), trainer.state())
    step = trainer.step.forward
    trainer.step.forward = lambda batch: ({"giou": step(batch)[0]["giou"] * value}, {})
    with pytest.raises(InputError, match=rf"loss is {value} in epoch 2, step 1; lower TRAIN\.LR.*checkpoint is kept"):
        trainer.run()
    assert [path.name for path in tmp_path.iterdir()] == ["IIMFTrack_ep0001.pth.tar"]


def test_too_many_unreadable_samples_stop_training(make_trainer, monkeypatch):
    monkeypatch.setattr(run, "load_training_set", lambda name, folders: [squares(), squares(broken=True)])
    trainer = make_trainer("DATA.TRAIN.SAMPLE_PER_EPOCH=60", "TRAIN.VAL_EPOCH_INTERVAL=9")
    with pytest.raises(InputError, match=r"1\d unreadable samples among \d+, more than 1%; the log names them: repair"):
        trainer.run()


def test_validation_is_the_same_at_every_call_and_counts_every_pair(make_trainer):
    trainer = make_trainer("TRAIN.DROP_PATH_RATE=0.5", run_log=MemoryLog())
    for _ in range(2):
        trainer.validate(1, trainer.val_loader)
    values = [value for name, value, _ in trainer.run_log.scalars if name == "val/loss"]
    assert len(values) == 2 and values[0] == values[1]
    assert len(trainer.val_loader) == 2 and sum(len(s.batch.search) for s in trainer.val_loader) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_run_that_goes_on_is_the_run_that_never_stopped(make_trainer, tmp_path, workers):
    changes = [f"TRAIN.NUM_WORKER={workers}", "TRAIN.DROP_PATH_RATE=0.5", "TRAIN.LR_DROP_EPOCH=1"]
    whole = make_trainer(*changes)
    whole.run()
    first = make_trainer(*changes)
    first.cfg.TRAIN.EPOCH = 2
    first.run()
    second = make_trainer(*changes)
    torch.manual_seed(1234)  # whatever another process draws before it goes on
    runs.resume(second, find_newest(tmp_path).with_name("IIMFTrack_ep0002.pth.tar"))
    assert second.epoch == 2
    second.run()
    assert same(weights(whole), weights(second))
    states = [trainer.optimizer.state_dict()["state"] for trainer in (whole, second)]
    assert all(torch.equal(states[0][key]["exp_avg"], states[1][key]["exp_avg"]) for key in states[0])


def test_stochastic_depth_differs_between_epochs(make_trainer):
    draws = []
    trainer = make_trainer("TRAIN.DROP_PATH_RATE=0.5")
    trainer.step.forward = lambda batch: draws.append(torch.rand(1).item()) or trainer.model.step(batch)
    trainer.run()
    assert len(set(draws)) == len(draws) == 9


def test_each_process_draws_its_own_stochastic_depth(monkeypatch):
    draws = {}
    for rank in (0, 1, 2):
        monkeypatch.setattr("lib.train.trainer.rank", lambda rank=rank: rank)
        for epoch in (1, 2):
            seed_epoch(7, epoch)
            draws[rank, epoch] = torch.rand(2).tolist()
            seed_epoch(7, epoch)
            assert torch.rand(2).tolist() == draws[rank, epoch]
    assert len({tuple(values) for values in draws.values()}) == 6


def test_the_scale_of_mixed_precision_survives_a_resume(make_trainer, tmp_path):
    first, second = make_trainer(), make_trainer()
    first.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)
    for _ in range(2):
        first.scaler.scale(torch.zeros(()))
        first.scaler.update(first.scaler.get_scale() / 2)
    first.epoch, second.scaler = 1, torch.amp.GradScaler("cpu")
    save_checkpoint(first.path("ep0001"), first.state())
    runs.resume(second, first.path("ep0001"))
    assert second.scaler.state_dict() == first.scaler.state_dict() and second.scaler.get_scale() == 2


def test_public_checkpoint_in_the_folder_is_nothing_to_go_on_with(make_trainer, tmp_path):
    trainer = make_trainer()
    torch.save({"net": trainer.model.state_dict(), "epoch": 15}, tmp_path / "TBSITrack_ep0015.pth.tar")
    with pytest.raises(
        InputError, match=r"_ep0015\.pth\.tar: lacks 'network', so training cannot be resumed from it.*PRETRAIN"
    ):
        runs.resume(trainer, find_newest(tmp_path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epoch", 1, "is of epoch 1, its name says 3; rename it or move it away"),
        ("epoch", "three", "is of epoch three, its name says 3"),
        ("scheduler", {}, r"does not fit this run \(its schedule has no last_epoch\); move it away"),
        ("scheduler", 5, "does not fit this run"),
        ("optimizer", {"state": {}, "param_groups": []}, "does not fit this run .*number of parameter groups"),
        ("optimizer", {"state": {}}, r"does not fit this run \(KeyError\('param_groups'\)\)"),
        ("optimizer", "Adam", "does not fit this run"),
    ],
)
def test_a_checkpoint_that_training_cannot_go_on_from_is_refused(make_trainer, tmp_path, key, value, message):
    trainer = make_trainer()
    trainer.epoch = 3
    content = {**trainer.state(), key: value}
    with pytest.raises(InputError, match=rf"IIMFTrack_ep0003\.pth\.tar: .*{message}"):
        resuming.resume(make_trainer(), tmp_path / "IIMFTrack_ep0003.pth.tar", content)


def test_loader_processes_say_nothing_where_the_main_one_has_ended():
    code = "import sys; from lib.train.data.drawn import _set_up_worker; _set_up_worker(0)\ntry: raise {}\n"
    code += "except BaseException: sys.excepthook(*sys.exc_info())"
    for error, said in (("EOFError", ""), ("BrokenPipeError", ""), ("KeyError(7)", "KeyError: 7")):
        command = [sys.executable, "-c", code.format(error)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert (done.stderr.splitlines() or [""])[-1] == said


def test_newest_checkpoint_is_that_of_the_latest_epoch(tmp_path):
    assert find_newest(tmp_path) is None
    for name in ("A_ep0009.pth.tar", "A_ep10000.pth.tar", "B_ep0999.pth.tar", "A_ep0011.pth", "A_epx.pth.tar"):
        (tmp_path / name).touch()
    assert find_newest(tmp_path).name == "A_ep10000.pth.tar"


def test_run_with_other_settings_does_not_go_on_in_the_same_folder(tmp_path):
    run.save_setup(tmp_path, config())
    (tmp_path / "A_ep0001.pth.tar").touch()
    run.save_setup(tmp_path, config("TRAIN.EPOCH=9", "TRAIN.NUM_WORKER=2"))
    with pytest.raises(InputError, match=r"config\.yaml: TRAIN\.LR: .* 0\.0004, this run has 0\.1; choose another"):
        run.save_setup(tmp_path, config("TRAIN.LR=0.1"))
    (tmp_path / "A_ep0001.pth.tar").unlink()
    run.save_setup(tmp_path, config("TRAIN.LR=0.1"))


def test_checkpoints_without_a_record_of_their_settings_are_said(tmp_path, caplog):
    (tmp_path / "A_ep0001.pth.tar").touch()
    run.save_setup(tmp_path, config())
    assert (
        "config.yaml: is missing, so nothing tells whether the checkpoints here had this run's settings" in caplog.text
    )


def test_means_are_weighted_and_summed_over_processes():
    means = [Means(), Means()]
    means[0].update({"b": torch.tensor(1.0), "a": torch.tensor(2.0)}, 3)
    means[0].update({"a": torch.tensor(4.0), "b": torch.tensor(5.0)}, 1)
    means[1].update({"a": torch.tensor(0.0), "b": torch.tensor(1.0)}, 4)
    assert means[0].read() == {"b": 2.0, "a": 2.5}
    total = sum(part.as_tensor(torch.device("cpu")) for part in means)
    assert total.tolist() == [[10.0, 12.0], [8.0, 8.0]]
    means[0].replace(total)
    assert means[0].read() == {"a": 1.25, "b": 1.5}


def test_means_of_what_concerns_some_pairs_only():
    means = Means()
    means.update({"loss": torch.tensor(1.0), "rare": torch.tensor([0.5, 2.0]), "never": torch.zeros(2)}, 4)
    means.update({"loss": torch.tensor(3.0), "rare": torch.tensor([0.0, 0.0]), "never": torch.zeros(2)}, 4)
    assert means.read() == {"loss": 2.0, "rare": 0.25}


# The command itself, in a copy of the toolbox with a local.py of its own.


MICRO = """
MODEL: {HEAD: {NUM_CHANNELS: 16}, PRETRAIN_FILE: '',
  BACKBONE: {TYPE: vit_tiny_patch16_224, EMBED_DIM: 24, NUM_HEADS: 2, DEPTH: 4, TBSI_LOC: [2], TBSI_MLP_RATIO: 1.0}}
DATA: {SEARCH: {SIZE: 64, FACTOR: 4.0, CENTER_JITTER: 3, SCALE_JITTER: 0.25}, TEMPLATE: {SIZE: 32},
  TRAIN: {DATASETS_NAME: [LasHeR_train], DATASETS_RATIO: [1], SAMPLE_PER_EPOCH: 16},
  VAL: {DATASETS_NAME: [LasHeR_test], SAMPLE_PER_EPOCH: 4}}
TRAIN: {EPOCH: 3, BATCH_SIZE: 4, NUM_WORKER: 1, PRINT_INTERVAL: 1, VAL_EPOCH_INTERVAL: 2, DROP_PATH_RATE: 0.3,
  LR_DROP_EPOCH: 2, AMP: true}
TEST: {SEARCH_SIZE: 64, TEMPLATE_SIZE: 32}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh copy of the toolbox, set up by its own script, with a little LasHeR beside it."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("lib", "tracking", "experiments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "local.py"))
    arguments = ["--workspace_dir", ".", "--data_dir", "./data", "--save_dir", "./output"]
    subprocess.run([sys.executable, "tracking/create_default_local_file.py", *arguments], cwd=folder, check=True)
    for split, seed in itertools.product(("training", "testing"), range(2)):
        video, place = squares(seed=seed), folder / "data" / "lasher" / f"{split}set" / f"video{seed}"
        for index, modality in itertools.product(range(len(video)), ("visible", "infrared")):
            (place / modality).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / modality / f"{modality[0]}{index:06d}.png"), video.frames[index][0])
        np.savetxt(place / "init.txt", video.boxes, fmt="%d", delimiter=",")
        shutil.copy(place / "init.txt", place / "visible.txt")
    (folder / "micro.yaml").write_text(MICRO)
    return folder


def command(clone, save_dir, *more):
    arguments = ["--script", "iimf_track", "--config", "micro.yaml", "--save_dir", str(save_dir)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "tracking/train.py", *arguments, "--device", "cpu", *more],
        cwd=clone, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return out


def logged(save_dir):
    """The figures of every step and validation, as they were written; the last word on each counts."""
    text = (save_dir / "logs" / "iimf_track-micro.log").read_text()
    found = re.findall(r"((?:train|val) +epoch \d+/\d+  step \d+/\d+)  (.*?)  [\d.]+ pairs/s", text)
    return dict(found)


def test_killed_run_goes_on_to_the_same_losses_and_weights(clone, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(command(clone, whole))
    process = command(clone, killed)
    for line in process.stdout:
        if "train epoch 2/3  step 2/4" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    folder = Path("checkpoints") / "train" / "iimf_track" / "micro"
    assert sorted(path.name for path in (killed / folder).glob("*.tar")) == ["IIMFTrack_ep0001.pth.tar"]
    assert "goes on after epoch 1" in finish(command(clone, killed))
    assert len(logged(whole)) == 3 * 4 + 2
    assert logged(whole) == logged(killed)
    first, second = (load_checkpoint(path / folder / "IIMFTrack_ep0003.pth.tar") for path in (whole, killed))
    assert same(first["net"], second["net"])
    assert first["scheduler"] == second["scheduler"]
    moments = [content["optimizer"]["state"] for content in (first, second)]
    assert all(same(moments[0][key], moments[1][key]) for key in moments[0])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--set", "TRAIN.LR=fast"], "error: --set: TRAIN.LR: 'fast' is not allowed; expected a number"),
        (["--set", "DATA.TRAIN.DATASETS_NAME=[GOT10K_vottrain]"], "error: GOT10K_vottrain: folder "),
        (["--mode", "multiple", "--set", "DATA.TRAIN.DATASETS_NAME=[GOT10K_vottrain]"], "error: GOT10K_vottrain: "),
        (["--mode", "multiple", "--set", "MODEL.PRETRAIN_FILE=none.pth"], "error: MODEL.PRETRAIN_FILE: "),
    ],
)
def test_bad_input_is_one_line_and_status_1(clone, tmp_path, more, expected):
    process = command(clone, tmp_path, *more)
    _, err = process.communicate(timeout=300)
    lines = [line for line in err.splitlines() if line.strip()]
    assert process.returncode == 1 and len(lines) == 1 and lines[0].startswith(expected), err


@pytest.mark.slow
def test_two_processes_train_together(clone, tmp_path):
    more = ["--mode", "multiple", "--nproc_per_node", "2", "--set", "TRAIN.NUM_WORKER=0"]
    out = finish(command(clone, tmp_path, *more))
    lines = logged(tmp_path)
    assert len(lines) == 3 * 2 + 2, "16 pairs are 2 steps of 4 pairs in each of 2 processes, logged by one"
    assert out.count("finished: 3 epochs") == 1
    assert (tmp_path / "checkpoints" / "train" / "iimf_track" / "micro" / "IIMFTrack_ep0003.pth.tar").is_file()

"""SiamRPN++ in the trainer: pysot's schedule and labels, what learns when and how fast, overfitting."""

import micro
import numpy as np
import pytest
import runs
import scenes
import test_training as basics
import torch

from lib.core.config import load_config
from lib.datasets import DATASETS
from lib.layers.siamese.anchors import anchor_boxes, anchor_shapes
from lib.models import build_model
from lib.models.base import PairBatch
from lib.models.siamese.siamrpn_training import AnchorTraining
from lib.train import run
from lib.train.optim import build_optimizer
from lib.train.schedule import build_scheduler, warm_up

RECIPES = ["siamrpn_r50_l234_dwxcorr", "siamrpn_alex_dwxcorr", "siamrpn_mobilev2_l234_dwxcorr"]
SHORT = [
    "TRAIN.BATCH_SIZE=3", "TRAIN.GLOBAL_BATCH=0", "DATA.TRAIN.SAMPLE_PER_EPOCH=6", "DATA.VAL.SAMPLE_PER_EPOCH=3",
    "TRAIN.EPOCH=2", "TRAIN.NUM_WORKER=0", "TRAIN.PRINT_INTERVAL=1", "TRAIN.VAL_EPOCH_INTERVAL=3",
    "DATA.SEARCH.SHIFT=8", "DATA.TRAIN.DATASETS_NAME=[x]", "DATA.TRAIN.DATASETS_RATIO=[1]",
    "DATA.TRAIN.MAX_INTERVALS=[]", "DATA.VAL.DATASETS_NAME=[x]", "DATA.VAL.DATASETS_RATIO=[1]",
]  # fmt: skip
FROZEN = ["MODEL.PRETRAIN_FILE=x", "TRAIN.UNFREEZE_EPOCH=2"]


def rates(name):
    """The rate of every epoch of a recipe, for what is not of the trunk."""
    cfg = load_config("siamrpnpp", name)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.TRAIN.LR)
    scheduler, seen = build_scheduler(cfg, optimizer), []
    for epoch in range(cfg.TRAIN.EPOCH):
        seen.append(optimizer.param_groups[0]["lr"] * warm_up(cfg, 10 * epoch, 10))
        optimizer.step()
        scheduler.step()
    return np.array(seen)


def test_rates_of_pysot():
    found = rates(RECIPES[0])
    assert len(found) == 20
    np.testing.assert_allclose(found[[0, 4, 5, 19]], [1e-3, 3.624e-3, 5e-3, 5e-4], rtol=1e-3)
    np.testing.assert_allclose(found[1:6] / found[:5], 5**0.2, rtol=1e-6)
    np.testing.assert_allclose(found[6:] / found[5:-1], 10 ** (-1 / 14), rtol=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_what_there_is(name):
    cfg = load_config("siamrpnpp", name)
    assert {one.lower() for one in [*cfg.DATA.TRAIN.DATASETS_NAME, *cfg.DATA.VAL.DATASETS_NAME]} <= set(DATASETS)
    assert cfg.DATA.TRAIN.SAMPLE_PER_EPOCH == 600000 and sum(cfg.DATA.PAIRS.SHARES) == pytest.approx(1)


def test_labels_of_pysot():
    """Sixteen positives of 64 anchors; none is forced; a negative pair has sixteen negatives on its object alone."""
    rules = AnchorTraining.from_config(load_config("siamrpnpp", RECIPES[0]), 5)
    anchors = anchor_boxes(anchor_shapes([0.33, 0.5, 1, 2, 3], [8], 8), 25, 8)
    boxes = torch.tensor([[3.0, -2.0, 64.0, 60.0], [0.0, 0.0, 24.0, 70.0], [40.0, 40.0, 64.0, 64.0]])
    labels = rules.labels(anchors, boxes, torch.tensor([True, True, False]))
    counts = [[(one == number).sum().item() for number in (1, 0)] for one in labels.classes]
    assert counts[0][0] <= 16 and counts[0][0] > 2 and [row[1] for row in counts] == [48, 48, 16]
    assert counts[1][0] == 0, "the best IoU is below 0.6"
    near = anchors[:2].flatten(1)[:, labels.classes[2].flatten() == 0]
    assert (near - 40).abs().max() <= 24


def trainer_of(tmp_path, monkeypatch, *changes):
    """A trainer over squares, in this process and on the CPU."""
    for name in ("load_training_set", "load_validation_set"):
        monkeypatch.setattr(run, name, lambda name, folders: [basics.squares(), basics.squares(seed=1)])
    cfg = micro.config("siamrpnpp", *SHORT, *changes)
    run.seed_everything(cfg.TRAIN.SEED)
    return basics.build(cfg, tmp_path)


def changed(before, after):
    """First pieces of the names of what differs; of the trunk the stage."""
    names = [name for name in before if not name.endswith("tracked") and not torch.equal(before[name], after[name])]
    return {name.split(".")[3] if name.startswith("backbone.") else name.split(".")[0] for name in names}


def test_trunk_stands_still_and_then_learns_with_batch_norm_but_for_stem_and_first_layer(tmp_path, monkeypatch):
    trainer = trainer_of(tmp_path, monkeypatch, *FROZEN, "TRAIN.EPOCH=1")
    start = basics.weights(trainer)
    trainer.run()
    first = basics.weights(trainer)
    assert changed(start, first) == {"neck", "rpn_head"}
    trainer.cfg.TRAIN.EPOCH = 2
    trainer.run()
    second = basics.weights(trainer)
    assert changed(first, second) == {"neck", "rpn_head", "layer2", "layer3", "layer4"}
    statistics = [name for name in first if name.startswith("backbone.streams.") and name.endswith("running_mean")]
    assert statistics and not any(torch.equal(first[name], second[name]) for name in statistics)


def test_run_that_goes_on_is_the_run_that_never_stopped(tmp_path, monkeypatch):
    whole = trainer_of(tmp_path, monkeypatch, *FROZEN)
    whole.run()
    second = trainer_of(tmp_path, monkeypatch, *FROZEN)
    runs.resume(second, tmp_path / "SiamRPNPP_ep0001.pth.tar")
    second.run()
    assert basics.same(basics.weights(whole), basics.weights(second))


@pytest.mark.parametrize(("variant", "stages"), [("siamrpnpp", 3), ("siamrpnpp-alex", 2), ("siamrpnpp-mobile", 3)])
def test_trunk_has_a_rate_of_its_own(variant, stages):
    cfg = micro.config(variant, "MODEL.PRETRAIN_FILE=x", "TRAIN.LR=0.005")
    model = build_model(cfg)
    optimizer = build_optimizer(cfg, model)
    assert isinstance(optimizer, torch.optim.SGD) and stages == cfg.TRAIN.TRUNK_STAGES
    rate = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    share = 1.0 if variant == "siamrpnpp-alex" else 0.1
    for name, parameter in model.named_parameters():
        assert rate[id(parameter)] == pytest.approx(5e-3 * (share if name.startswith("backbone.") else 1)), name
    model.train()
    for epoch, learning in ((1, 0), (cfg.TRAIN.UNFREEZE_EPOCH, stages)):
        model.set_epoch(epoch)
        assert model.backbone.learning == learning
        assert any(part.requires_grad for part in model.backbone.parameters()) == bool(learning)


@pytest.mark.slow
def test_eight_pairs_are_learned_by_heart():
    """By a narrow network: boxes of the target, low scores on other objects."""
    torch.manual_seed(0)
    model = build_model(micro.config("siamrpnpp", "DATA.SEARCH.SIZE=175", "TEST.SEARCH_SIZE=175"))
    seen = scenes.eight_pairs()
    box = (seen.search_box * 255 - torch.tensor([40.0, 40, 0, 0])) / 175
    search = seen.search[..., 40:215, 40:215].contiguous()
    batch = PairBatch(seen.template, seen.template_box, search, box, positive=seen.positive)
    batch = batch._replace(template=model.normalize(batch.template), search=model.normalize(batch.search))
    optimizer, ends = torch.optim.Adam(model.parameters(), lr=0.005), []
    for step in range(31):
        losses, figures = model.step(batch)
        if step in (0, 30):
            means = {name: (figures[name][0] / figures[name][1]).item() for name in ("iou", "right_on", "right_off")}
            ends.append({name: value.item() for name, value in losses.items()} | means)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
    before, after = ends
    assert before["cls"] > 0.5 and before["loc"] > 0.6 and before["iou"] < 0.5, before
    assert after["cls"] < 0.1 and after["loc"] < 0.3 and after["iou"] > 0.7, after
    assert after["right_on"] > 0.95 and after["right_off"] > 0.95, after

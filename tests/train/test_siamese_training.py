"""Siamese trackers in the trainer: what learns when, the optimizer, starting weights, runs that go on."""

import logging

import pytest
import runs
import test_pair_kinds as pairs
import test_training as basics
import torch

from lib.core.checkpoint import load_checkpoint, save_checkpoint
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.models import build_model
from lib.models.pretrained import load_pretrained
from lib.train import run, validation
from lib.train.copies import CheckpointCopies
from lib.train.optim import build_optimizer
from lib.train.step import SharedStep, TrainStep, wrap_again

SMALL = [
    "MODEL.BACKBONE.WIDTH=0.0625", "DATA.SEARCH.SIZE=159", "TEST.SEARCH_SIZE=159", "TRAIN.BATCH_SIZE=5",
    "DATA.TRAIN.SAMPLE_PER_EPOCH=10", "DATA.VAL.SAMPLE_PER_EPOCH=9", "TRAIN.EPOCH=3", "TRAIN.NUM_WORKER=0",
    "TRAIN.VAL_EPOCH_INTERVAL=3", "TRAIN.SCHEDULER.WARMUP_EPOCHS=1", "DATA.SEARCH.SHIFT=8",
]  # fmt: skip


def config(*changes):
    return load_config("dasiamrpn", "synthetic_small", [*SMALL, *changes])


@pytest.fixture
def make_trainer(tmp_path, monkeypatch):
    """Trainers over blocks, in this process and on the CPU."""
    for name in ("load_training_set", "load_validation_set"):
        monkeypatch.setattr(run, name, lambda name, folders: pairs.videos())

    def make(*changes, **more):
        cfg = config(*changes)
        run.seed_everything(cfg.TRAIN.SEED)
        return basics.build(cfg, tmp_path, **more)

    return make


def trunk(trainer):
    return {name: value.clone() for name, value in trainer.model.backbone.state_dict().items()}


def moved(before, after):
    """Stages of the trunk of which anything changed, counters aside."""
    names = [name for name in before if not name.endswith("tracked") and not torch.equal(before[name], after[name])]
    indices = {int(name.split(".")[1]) for name in names}
    stages = {0: 1, 1: 1, 4: 2, 5: 2, 8: 3, 9: 3, 11: 4, 12: 4, 14: 5, 15: 5}
    return {stages[index] for index in indices}


def test_trunk_stands_still_until_its_last_stages_learn(make_trainer):
    trainer = make_trainer("MODEL.PRETRAIN_FILE=x", "TRAIN.UNFREEZE_EPOCH=2", "TRAIN.TRUNK_STAGES=2", "TRAIN.EPOCH=1")
    start, heads = trunk(trainer), trainer.model.rpn_head.search_cls_conv
    weight = next(heads.parameters()).detach().clone()
    trainer.run()
    assert moved(start, trunk(trainer)) == set() and not torch.equal(weight, next(heads.parameters()))
    trainer.cfg.TRAIN.EPOCH = 2
    trainer.run()
    assert moved(start, trunk(trainer)) == {4, 5}
    scratch = make_trainer("TRAIN.EPOCH=1")
    start = trunk(scratch)
    scratch.run()
    assert moved(start, trunk(scratch)) == {1, 2, 3, 4, 5}


def test_processes_exchange_what_learns_from_an_epoch_on(tmp_path):
    model = build_model(config("MODEL.PRETRAIN_FILE=x", "TRAIN.UNFREEZE_EPOCH=2"))
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        model.set_epoch(1)
        first = SharedStep(TrainStep(model))
        assert wrap_again(first) is first
        model.set_epoch(2)
        second = wrap_again(first)
        assert second is not first and second.module is first.module and second.exchanged == first.exchanged + 8
        assert wrap_again(second) is second
    finally:
        torch.distributed.destroy_process_group()
    alone = TrainStep(model)
    assert wrap_again(alone) is alone


def test_sgd_has_two_rates_and_holds_what_learns_later():
    cfg = config("MODEL.PRETRAIN_FILE=x", "TRAIN.LR=0.01", "TRAIN.BACKBONE_MULTIPLIER=0.1")
    model = build_model(cfg)
    model.set_epoch(1)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    optimizer = build_optimizer(cfg, model)
    assert type(optimizer) is torch.optim.SGD and [group["lr"] for group in optimizer.param_groups] == [0.01, 0.001]
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in model.parameters()}


def test_adam_and_parts_of_the_trunk_at_rates_of_their_own(monkeypatch):
    monkeypatch.setattr(
        type(build_model(config())), "rate_factor", lambda self, name: 2.0 if "features.0." in name else 1.0
    )
    cfg = config("TRAIN.LR=0.01", "TRAIN.BACKBONE_MULTIPLIER=0.1")
    for optimizer, kind in (("SGD", torch.optim.SGD), ("ADAM", torch.optim.Adam), ("ADAMW", torch.optim.AdamW)):
        cfg.TRAIN.update(OPTIMIZER=optimizer, SOT_PRETRAIN=False, LAYER_DECAY=1.0, FUSED=False)
        model = build_model(cfg)
        made = build_optimizer(cfg, model)
        assert type(made) is kind and [group["lr"] for group in made.param_groups] == pytest.approx([0.01, 2e-3, 1e-3])
        first = {id(parameter) for parameter in model.backbone.features[0].parameters()}
        assert {id(parameter) for parameter in made.param_groups[1]["params"]} == first
        assert sum(len(group["params"]) for group in made.param_groups) == len(list(model.parameters()))


def test_validation_tells_the_kinds_of_pairs_apart(make_trainer, caplog):
    trainer = make_trainer("TRAIN.EPOCH=1", "DATA.PAIRS.SHARES=[0.5,0.5,0,0]", run_log=basics.MemoryLog())
    with caplog.at_level(logging.INFO):
        means = trainer.validate(1, trainer.val_loader)
    kinds = {name for name in means if name.startswith("score_")}
    assert kinds >= {"score_video", "score_same_category", "score_other_category"} and 0 <= means["iou"] <= 1
    assert all(0 < means[name] < 1 for name in kinds)
    trainer.run()
    seen = {name for name, _, _ in trainer.run_log.scalars}
    assert "train/score_video" in seen and "train/score_same_category" not in seen and "val/score_same_category" in seen


def test_run_that_goes_on_is_the_run_that_never_stopped(make_trainer, tmp_path):
    changes = ["MODEL.PRETRAIN_FILE=x", "TRAIN.UNFREEZE_EPOCH=2"]
    whole = make_trainer(*changes)
    whole.run()
    second = make_trainer(*changes)
    runs.resume(second, tmp_path / "DaSiamRPN_ep0001.pth.tar")
    second.run()
    assert basics.same(basics.weights(whole), basics.weights(second))


def old_trunk(model):
    """The trunk as pysot's ImageNet file has it."""
    layers = {0: "layer1.0", 1: "layer1.1", 4: "layer2.0", 5: "layer2.1", 8: "layer3.0", 9: "layer3.1", 11: "layer4.0",
              12: "layer4.1", 14: "layer5.0", 15: "layer5.1"}  # fmt: skip
    weights = {}
    for name, value in model.backbone.state_dict().items():
        _, index, rest = name.split(".")
        weights[f"{layers[int(index)]}.{rest}"] = value
    return weights


def test_training_starts_from_a_trunk_of_another_naming(tmp_path, caplog):
    source, cfg = build_model(config()), config("MODEL.PRETRAIN_FILE=alexnet-bn.pth")
    torch.save(old_trunk(source), tmp_path / "alexnet-bn.pth")
    model = build_model(cfg)
    before = model.rpn_head.search_cls_conv.state_dict()
    with caplog.at_level(logging.INFO):
        load_pretrained(model, cfg, str(tmp_path))
    assert basics.same(source.backbone.state_dict(), model.backbone.state_dict())
    assert basics.same(before, model.rpn_head.search_cls_conv.state_dict())
    assert "alexnet-bn.pth: 36 of the model's" in caplog.text and "from scratch: rpn_head" in caplog.text
    wide = build_model(config("MODEL.BACKBONE.WIDTH=0.125"))
    with pytest.raises(InputError, match="holds no layer that fits MODEL.BACKBONE.WIDTH 0.0625; give weights of that"):
        load_pretrained(wide, cfg, str(tmp_path))


def test_fine_tuning_starts_from_a_checkpoint(tmp_path):
    source, cfg = build_model(config()), config("MODEL.PRETRAIN_FILE=small.pth.tar")
    save_checkpoint(tmp_path / "small.pth.tar", {"net": source.state_dict(), "network": "dasiamrpn", "epoch": 3})
    model = build_model(cfg)
    load_pretrained(model, cfg, str(tmp_path))
    assert basics.same(source.state_dict(), model.state_dict())


def test_checkpoints_lie_in_one_folder_too(make_trainer, tmp_path):
    copies = CheckpointCopies(tmp_path / "weights", "dasiamrpn_small")
    trainer = make_trainer("TRAIN.EPOCH=2", "TRAIN.VAL_EPOCH_INTERVAL=1", copies=copies)
    trainer.run()
    names = sorted(path.name for path in copies.folder.iterdir())
    assert names == [f"dasiamrpn_small_{which}.pth" for which in ("best", "e001", "e002", "last")]
    last, whole = load_checkpoint(copies.folder / "dasiamrpn_small_last.pth"), basics.weights(trainer)
    assert basics.same(last["net"], whole) and last["epoch"] == 2 and "optimizer" in last
    again = make_trainer("TRAIN.EPOCH=2", "TRAIN.LR=0.5", copies=copies)
    with pytest.raises(InputError, match="small_best.pth: belongs to another run; choose another --weights_dir"):
        again.run()


def test_validation_alone_gives_the_trainers_figures(make_trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "load_validation_set", lambda name, folders: pairs.videos())
    monkeypatch.setattr(validation, "read_local", lambda kind: {})
    losses = []
    for amp in ("false", "true"):
        trainer = make_trainer("TRAIN.EPOCH=1", f"TRAIN.AMP={amp}")
        save_checkpoint(tmp_path / "a.pth.tar", {"net": trainer.model.state_dict(), "network": "dasiamrpn", "epoch": 1})
        alone = validation.validate_checkpoint(trainer.cfg, tmp_path / "a.pth.tar", device_name="cpu")
        assert alone == trainer.validate(1, trainer.val_loader) and "score_same_category" in alone
        losses.append(alone["loss"])
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.05), "mixed precision as in training"
    none = config("DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]")
    with pytest.raises(InputError, match="DATA.VAL.DATASETS_NAME: no data set"):
        validation.validate_checkpoint(none, tmp_path / "a.pth.tar")

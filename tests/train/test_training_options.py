"""Options of training that save time or memory, and the average of the weights."""

import logging

import micro
import pytest
import runs
import test_training as basics
import torch

from lib.core.checkpoint import load_checkpoint, load_weights
from lib.layers.transformer.vit import VisionEncoder
from lib.train.optim import build_optimizer
from lib.train.step import TrainStep

make_trainer = basics.make_trainer
SHORT = ["TRAIN.EPOCH=1", "TRAIN.LR=0.01", "TRAIN.DROP_PATH_RATE=0"]


def test_average_is_that_of_the_weights_after_each_step(make_trainer, tmp_path):
    trainer, decay, expected = make_trainer(*SHORT, "TRAIN.EMA_DECAY=0.6"), 0.6, None
    update = trainer.update_weights

    def record(skips):
        nonlocal expected
        update(skips)
        now = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
        expected = now if expected is None else {k: decay * expected[k] + (1 - decay) * now[k] for k in now}

    trainer.update_weights = record
    trainer.run()
    for kind in ("ep0001", "best"):
        saved = load_weights(tmp_path / f"IIMFTrack_{kind}.pth.tar")
        for name, value in expected.items():
            torch.testing.assert_close(saved[name], value, rtol=1e-5, atol=1e-7)
    content = load_checkpoint(tmp_path / "IIMFTrack_ep0001.pth.tar")
    assert basics.same(content["training"], basics.weights(trainer))
    name = "box_head.conv1_ctr.0.weight"
    assert (content["training"][name] - content["net"][name]).abs().max() > 1e-4
    statistics = "tbsi_fuse_middle.1.running_mean"
    assert torch.equal(content["net"][statistics], content["training"][statistics])


def test_average_is_what_is_validated_and_training_is_as_without(make_trainer):
    plain = make_trainer(*SHORT, run_log=basics.MemoryLog())
    averaged = make_trainer(*SHORT, "TRAIN.EMA_DECAY=0.9", run_log=basics.MemoryLog())
    for trainer in (plain, averaged):
        trainer.run()
    assert basics.same(basics.weights(plain), basics.weights(averaged))
    seen = [[v for name, v, _ in one.run_log.scalars if name == "val/loss"][0] for one in (plain, averaged)]
    assert seen[0] != seen[1]
    again = averaged.validate(1, averaged.val_loader)["loss"]
    assert again == pytest.approx(seen[1])


def test_run_with_an_average_goes_on_as_if_it_never_stopped(make_trainer, tmp_path):
    changes = ["TRAIN.EMA_DECAY=0.7", "TRAIN.LR=0.01"]
    whole = make_trainer(*changes)
    whole.run()
    second = make_trainer(*changes)
    runs.resume(second, tmp_path / "IIMFTrack_ep0002.pth.tar")
    second.run()
    assert basics.same(basics.weights(whole), basics.weights(second))
    assert basics.same(whole.average.module.state_dict(), second.average.module.state_dict())


@pytest.mark.parametrize("variant", ["ostrack", "ostrack-ce-ALL", "tbsi_track", "tbsi_track-last-block", "iimf_track"])
def test_blocks_that_compute_again_change_no_loss_and_no_gradient(variant, monkeypatch):
    results, called, original = [], [], VisionEncoder.run_block
    monkeypatch.setattr(VisionEncoder, "run_block", lambda *a: called.append(1) or original(*a))
    for option in ("false", "true"):
        passes = []
        model = micro.model(variant, f"TRAIN.CHECKPOINT_BLOCKS={option}", "TRAIN.DROP_PATH_RATE=0.5").train()
        model.backbone.blocks[0].norm1.register_forward_hook(lambda *_, passes=passes: passes.append(1))
        torch.manual_seed(3)
        losses, _ = model.step(micro.batch(variant, 3))
        torch.stack(list(losses.values())).sum().backward()
        gradients = [value.grad for value in model.parameters()]
        results.append(([value.detach() for value in losses.values()], gradients, len(passes)))
    assert called
    for first, second in zip(results[0][0] + results[0][1], results[1][0] + results[1][1], strict=True):
        torch.testing.assert_close(first, second)
    assert [result[2] for result in results] == [1, 2]


def test_blocks_compute_once_where_nobody_learns():
    model, passes = micro.model("iimf_track", "TRAIN.CHECKPOINT_BLOCKS=true"), []
    model.backbone.blocks[0].norm1.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        model.step(micro.batch("iimf_track"))
    assert len(passes) == 1


def test_fused_steps_are_the_steps():
    ends = []
    for option in ("false", "true"):
        model = micro.model("iimf_track")
        optimizer = build_optimizer(basics.config(f"TRAIN.FUSED={option}"), model)
        assert bool(optimizer.defaults["fused"]) == (option == "true")
        generator = torch.Generator().manual_seed(1)
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-5, atol=1e-7)


def test_channels_last_changes_the_layout_and_no_loss(make_trainer):
    plain, fast = make_trainer(), make_trainer("TRAIN.CHANNELS_LAST=true")
    layouts = [trainer.model.box_head.conv1_ctr[0].weight.stride()[1] for trainer in (plain, fast)]
    assert layouts == [9, 1]
    batch = plain.to_device(next(iter(plain.train_loader)).batch)
    first, second = (trainer.step.eval()(batch)[0] for trainer in (plain, fast))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6)


def test_device_without_fused_steps_takes_plain_ones(monkeypatch, caplog):
    original = torch.optim.AdamW

    def adamw(*arguments, fused=None, **keywords):
        if fused:
            raise RuntimeError("`fused=True` requires all the params to be on supported devices")
        return original(*arguments, **keywords)

    monkeypatch.setattr(torch.optim, "AdamW", adamw)
    with caplog.at_level(logging.WARNING):
        optimizer = build_optimizer(basics.config("TRAIN.FUSED=true"), micro.model("iimf_track"))
    assert isinstance(optimizer, original) and "TRAIN.FUSED: not on this device" in caplog.text


def test_compilation_is_of_the_step_and_asked_for(make_trainer, monkeypatch):
    compiled = []
    monkeypatch.setattr(TrainStep, "compile", lambda step: compiled.append(step))
    trainer = make_trainer()
    assert compiled == []
    trainer = make_trainer("TRAIN.COMPILE=true")
    assert compiled == [trainer.step]


@pytest.mark.slow
def test_compiled_step_is_the_step(make_trainer):
    plain, fast = make_trainer(*SHORT), make_trainer(*SHORT, "TRAIN.COMPILE=true")
    batch = plain.to_device(next(iter(plain.train_loader)).batch)
    first, second = (trainer.step.train()(batch)[0] for trainer in (plain, fast))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-5)

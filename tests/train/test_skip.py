"""Steps whose loss or gradient is not finite."""

import numpy as np
import pytest
import test_training as basics
import torch

from lib.core.errors import InputError

make_trainer = basics.make_trainer


def test_steps_without_a_usable_loss_are_left_out_and_counted(make_trainer, caplog):
    trainer = make_trainer("TRAIN.EPOCH=1", "TRAIN.SKIP_SHARE=0.5", run_log=basics.MemoryLog())
    forward, seen = trainer.step.forward, []

    def spoil(batch):
        seen.append(next(trainer.model.parameters()).detach().clone())
        losses, figures = forward(batch)
        return {name: value * (float("nan") if len(seen) == 2 else 1) for name, value in losses.items()}, figures

    trainer.step.forward = spoil
    trainer.run()
    assert len(seen) == 3 and torch.equal(seen[1], seen[2]) and not torch.equal(seen[0], seen[1])
    assert "epoch 1, step 2: loss or gradient is not finite; the step is left out" in caplog.text
    assert all(np.isfinite(value) for _, value, _ in trainer.run_log.scalars)


def test_too_many_steps_left_out_end_the_run(make_trainer):
    trainer = make_trainer("TRAIN.EPOCH=1", "TRAIN.SKIP_SHARE=0.01", "DATA.TRAIN.SAMPLE_PER_EPOCH=12")
    forward = trainer.step.forward
    trainer.step.forward = lambda batch: ({"giou": forward(batch)[0]["giou"] * float("inf")}, {})
    with pytest.raises(InputError, match=r"4 of 4 steps of epoch 1 have a loss or gradient that is not finite; lower"):
        trainer.run()

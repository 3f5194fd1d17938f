"""Learning rates: schedules, warm-up, and runs that go on in the middle of them."""

import numpy as np
import pytest
import runs
import test_training as basics
import torch

from lib.core.errors import InputError
from lib.train import run
from lib.train.schedule import build_scheduler, warm_up

make_trainer = basics.make_trainer


def rates(*changes, epochs):
    """The first group's rate in each epoch of a run at LR 1."""
    cfg = basics.config("TRAIN.LR=1.0", *changes)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, seen = build_scheduler(cfg, optimizer), []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_milestones_divide_by_ten():
    seen = rates("TRAIN.SCHEDULER.TYPE=multistep", "TRAIN.SCHEDULER.MILESTONES=[2,3]", epochs=5)
    np.testing.assert_allclose(seen, [1, 1, 0.1, 0.01, 0.01])


def test_milestones_multiply_by_the_one_factor_that_is_given():
    multistep = ["TRAIN.SCHEDULER.TYPE=multistep", "TRAIN.SCHEDULER.MILESTONES=[2,3]"]
    seen = rates(*multistep, "TRAIN.SCHEDULER.GAMMAS=[0.5]", epochs=5)
    np.testing.assert_allclose(seen, [1, 1, 0.5, 0.25, 0.25])
    with pytest.raises(InputError, match="GAMMAS: 2 factors for a multistep schedule; give one"):
        rates(*multistep, "TRAIN.SCHEDULER.GAMMAS=[0.5,0.2]", epochs=1)


def test_cosine_falls_to_its_final_share_and_stays():
    seen = rates("TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.EPOCH=4", "TRAIN.SCHEDULER.FINAL_SHARE=0.2", epochs=6)
    np.testing.assert_allclose(seen, [1, 0.2 + 0.8 * (1 + 0.5**0.5) / 2, 0.6, 0.2 + 0.8 * (1 - 0.5**0.5) / 2, 0.2, 0.2])


def test_log_schedule_has_equal_ratios_after_the_warm_up():
    log = ["TRAIN.SCHEDULER.TYPE=log", "TRAIN.SCHEDULER.FINAL_SHARE=0.01", "TRAIN.EPOCH=6"]
    seen = rates(*log, "TRAIN.SCHEDULER.WARMUP_EPOCHS=1", epochs=7)
    np.testing.assert_allclose(seen, [1, 1, 0.01**0.25, 0.1, 0.01**0.75, 0.01, 0.01])
    with pytest.raises(InputError, match=r"FINAL_SHARE: a log schedule cannot end at 0\.0; give for example"):
        rates("TRAIN.SCHEDULER.TYPE=log", epochs=1)


def test_warm_up_starts_where_it_is_told():
    cfg = basics.config("TRAIN.SCHEDULER.WARMUP_EPOCHS=5", "TRAIN.SCHEDULER.WARMUP_START=0.5")
    assert [warm_up(cfg, step, 1) for step in range(6)] == pytest.approx([0.6, 0.7, 0.8, 0.9, 1, 1])


def each_epoch(*changes, epochs):
    """The rate of each epoch with its warm-up, which is the same in all three steps of an epoch."""
    cfg, plain = basics.config("TRAIN.LR=1.0", *changes), rates(*changes, epochs=epochs)
    factors = [[warm_up(cfg, 3 * epoch + step, 3) for step in range(3)] for epoch in range(epochs)]
    assert all(len(set(row)) == 1 for row in factors)
    return [rate * row[0] for rate, row in zip(plain, factors, strict=True)]


EVERY = "TRAIN.SCHEDULER.WARMUP_EVERY=epoch"


def test_rates_of_siamdma_are_the_published_ones():
    paper = ["TRAIN.SCHEDULER.TYPE=log", "TRAIN.SCHEDULER.FINAL_SHARE=0.01", "TRAIN.EPOCH=20", EVERY]
    paper += [f"TRAIN.SCHEDULER.{change}" for change in ("WARMUP=exp", "WARMUP_EPOCHS=5", "WARMUP_START=0.2")]
    expected = [0.001, 0.00138, 0.001904, 0.002627, 0.003624, 0.005, 0.003598, 0.00259, 0.001864, 0.001341, 0.000965,
                0.000695, 0.0005, 0.00036, 0.000259, 0.000186, 0.000134, 0.000097, 0.000069, 0.00005]  # fmt: skip
    np.testing.assert_allclose(np.array(each_epoch(*paper, epochs=20)) * 0.005, expected, atol=5e-7)


def test_gammas_follow_each_other_at_their_milestones():
    changes = ["TRAIN.SCHEDULER.TYPE=exp", "TRAIN.SCHEDULER.GAMMAS=[1.4,0.85,0.82]", "TRAIN.SCHEDULER.MILESTONES=[3,5]"]
    seen = rates(*changes, epochs=7)
    ratios = np.array(seen[1:]) / np.array(seen[:-1])
    np.testing.assert_allclose(ratios, [1.4, 1.4, 0.85, 0.85, 0.82, 0.82])
    np.testing.assert_allclose(rates(changes[0], "TRAIN.SCHEDULER.GAMMAS=[0.5]", epochs=4), [1, 0.5, 0.25, 0.125])
    with pytest.raises(InputError, match="GAMMAS: 2 factors for 2 milestones; give one more than"):
        rates(changes[0], "TRAIN.SCHEDULER.GAMMAS=[1,1]", changes[2], epochs=1)


def test_constant_schedule():
    assert rates("TRAIN.SCHEDULER.TYPE=constant", "TRAIN.LR_DROP_EPOCH=1", epochs=5) == [1.0] * 5


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", [0.16, 0.37, 0.58, 0.79, 1, 1]),
        ("exp", [0.16, 0.16**0.75, 0.4, 0.16**0.25, 1, 1]),
        ("cosine", [0.16, 0.16 + 0.42 * (1 - 0.5**0.5), 0.58, 0.16 + 0.42 * (1 + 0.5**0.5), 1, 1]),
        ("constant", [0.16, 0.16, 0.16, 0.16, 1, 1]),
    ],
)
def test_ways_to_warm_up(kind, expected):
    changes = ["TRAIN.SCHEDULER.TYPE=constant", "TRAIN.SCHEDULER.WARMUP_EPOCHS=4", "TRAIN.SCHEDULER.WARMUP_START=0.16"]
    changes.append(f"TRAIN.SCHEDULER.WARMUP={kind}")
    np.testing.assert_allclose(each_epoch(*changes, EVERY, epochs=6), expected)
    cfg = basics.config(*changes)
    np.testing.assert_allclose([warm_up(cfg, step, 1) for step in range(5)], expected[1:])
    assert warm_up(basics.config(*changes, "TRAIN.SCHEDULER.WARMUP_EPOCHS=0"), 0, 1) == 1.0


def test_equal_ratios_cannot_begin_at_zero():
    with pytest.raises(InputError, match=r"WARMUP_START: equal ratios cannot begin at 0\.0; give for example"):
        rates("TRAIN.SCHEDULER.WARMUP=exp", "TRAIN.SCHEDULER.WARMUP_EPOCHS=1", epochs=1)


def test_step_recipe_is_what_it_was_to_the_last_bit():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=4e-4)
    before, now = torch.optim.lr_scheduler.StepLR(optimizer, 2), build_scheduler(basics.config(), optimizer)
    assert type(now) is type(before) and now.step_size == basics.config().TRAIN.LR_DROP_EPOCH
    assert {warm_up(basics.config(), step, 4) for step in range(20)} == {1.0}


@pytest.mark.parametrize("milestones", ["[]", "[3,2]", "[2,2]"])
def test_milestones_that_do_not_ascend_are_one_clear_line(milestones):
    with pytest.raises(InputError, match=r"TRAIN\.SCHEDULER\.MILESTONES: \[.*not ascending epochs; give for example"):
        rates("TRAIN.SCHEDULER.TYPE=multistep", f"TRAIN.SCHEDULER.MILESTONES={milestones}", epochs=1)


def watch(trainer):
    """The rates of every step, as the optimizer sees them."""
    seen, step = [], trainer.optimizer.step

    def record(*arguments, **keywords):
        seen.append([group["lr"] for group in trainer.optimizer.param_groups])
        return step(*arguments, **keywords)

    trainer.optimizer.step = record
    return seen


def test_warm_up_is_a_line_over_steps_and_the_schedule_goes_on_as_without(make_trainer):
    changes = ["TRAIN.LR=0.001", "TRAIN.LR_DROP_EPOCH=1", "TRAIN.SCHEDULER.WARMUP_EPOCHS=1.34"]
    trainer = make_trainer(*changes)
    seen = watch(trainer)
    trainer.run()
    ramp = np.array([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1])  # 1.34 epochs of 3 steps are 4 steps
    plain = np.repeat([1e-3, 1e-4, 1e-5], 3)
    np.testing.assert_allclose(np.array(seen), np.stack([plain * ramp, plain * ramp / 10], axis=1), rtol=1e-9)


@pytest.mark.parametrize(
    "changes", [["TRAIN.SCHEDULER.TYPE=cosine"], ["TRAIN.SCHEDULER.TYPE=multistep", "TRAIN.SCHEDULER.MILESTONES=[1,2]"]]
)
def test_run_that_goes_on_within_the_warm_up_is_the_run_that_never_stopped(make_trainer, tmp_path, changes):
    changes = [*changes, "TRAIN.SCHEDULER.WARMUP_EPOCHS=1.67"]
    whole = make_trainer(*changes)
    seen = watch(whole)
    whole.run()
    second = make_trainer(*changes)
    again = watch(second)
    runs.resume(second, tmp_path / "IIMFTrack_ep0001.pth.tar")
    second.run()
    assert again == seen[3:] and len(again) == 6
    assert basics.same(basics.weights(whole), basics.weights(second))


def test_cosine_does_not_go_on_with_another_number_of_epochs(tmp_path):
    cosine = "TRAIN.SCHEDULER.TYPE=cosine"
    run.save_setup(tmp_path, basics.config(cosine))
    (tmp_path / "A_ep0001.pth.tar").touch()
    with pytest.raises(InputError, match=r"TRAIN\.EPOCH: the checkpoints here were made with 3, this run has 9"):
        run.save_setup(tmp_path, basics.config(cosine, "TRAIN.EPOCH=9"))

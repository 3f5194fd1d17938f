"""Batches larger than a process holds: gathered gradients, and what processes tell each other."""

import numpy as np
import pytest
import test_training as basics
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lib.core.distributed import average_buffers
from lib.core.errors import InputError
from lib.train import run, schedule

make_trainer = basics.make_trainer


@pytest.fixture
def still_statistics(monkeypatch):
    """BatchNorm with its running statistics, as in evaluation: what one batch is to another."""
    monkeypatch.setattr(nn.BatchNorm2d, "train", lambda self, mode=True: nn.Module.train(self, False))


@pytest.mark.parametrize("clip", [0, 0.1])
def test_gathered_gradients_are_those_of_one_large_batch(make_trainer, still_statistics, clip):
    rest = ["DATA.TRAIN.SAMPLE_PER_EPOCH=6", f"TRAIN.GRAD_CLIP_NORM={clip}"]
    large = basics.one_step(make_trainer, *rest, "TRAIN.BATCH_SIZE=6")
    gathered = basics.one_step(make_trainer, *rest, "TRAIN.BATCH_SIZE=2", "TRAIN.GLOBAL_BATCH=6")
    assert large.norm() > 0.09
    torch.testing.assert_close(gathered, large, rtol=1e-3, atol=1e-6 * large.norm().item())
    single = basics.one_step(make_trainer, *rest, "TRAIN.BATCH_SIZE=2", "DATA.TRAIN.SAMPLE_PER_EPOCH=2")
    assert (single - large).norm() > 0.02 * large.norm()


def test_steps_are_counted_as_the_optimizer_makes_them(make_trainer, caplog):
    changes, made = ["DATA.TRAIN.SAMPLE_PER_EPOCH=10", "TRAIN.GLOBAL_BATCH=4", "TRAIN.EPOCH=1"], []
    trainer = make_trainer(*changes, run_log=basics.MemoryLog())
    trainer.optimizer.register_step_post_hook(lambda *_: made.append(1))
    with caplog.at_level("INFO"):
        trainer.run()
    assert len(made) == 2, "five batches are two steps of two, and one that is left out"
    assert [step for name, _, step in trainer.run_log.scalars if name == "train/loss"] == [1, 2]
    assert any("train epoch 1/1  step 2/2" in record.getMessage() for record in caplog.records)


def test_global_batch_that_does_not_fit_is_one_clear_line(make_trainer, monkeypatch):
    with pytest.raises(InputError, match=r"TRAIN\.GLOBAL_BATCH: 5 is not a multiple of 2, which is TRAIN\.BATCH_SIZE"):
        make_trainer("TRAIN.GLOBAL_BATCH=5")
    with pytest.raises(InputError, match=r"GLOBAL_BATCH: 8 is more than the 6 pairs of an epoch; raise DATA\.TRAIN"):
        make_trainer("TRAIN.GLOBAL_BATCH=8")
    monkeypatch.setattr(schedule, "world_size", lambda: 3)
    with pytest.raises(InputError, match=r"GLOBAL_BATCH: 8 is not a multiple of 6, .*in each of 3 processes"):
        make_trainer("TRAIN.GLOBAL_BATCH=8")


@pytest.fixture
def alone(tmp_path):
    """A group of this process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.broadcast_buffers. is deprecated")
@pytest.mark.parametrize(("parts", "exchanges"), [(1, 3), (3, 1)])
def test_gradients_are_exchanged_once_per_step(make_trainer, alone, parts, exchanges):
    trainer = make_trainer(f"TRAIN.GLOBAL_BATCH={2 * parts}", "TRAIN.GRAD_CLIP_NORM=0")
    trainer.step, calls = DistributedDataParallel(trainer.step, broadcast_buffers=False), []

    def count(_, bucket):
        calls.append(bucket.is_last())
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    trainer.step.register_comm_hook(None, count)
    trainer.train_epoch(1)
    assert sum(calls) == exchanges


def test_statistics_become_the_mean_of_all_processes(monkeypatch):
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    kept = network[0].weight.clone()
    network[1].running_mean += torch.tensor([1.0, 3.0])
    monkeypatch.setattr("lib.core.distributed.world_size", lambda: 2)
    monkeypatch.setattr("lib.core.distributed.sum_over_processes", lambda own: own + 5)
    average_buffers(network)
    assert network[1].running_mean.tolist() == [3, 4] and network[1].running_var.tolist() == [3, 3]
    assert torch.equal(network[0].weight, kept) and network[1].num_batches_tracked == 0


def train_as(rank, processes, folder, changes):
    """Keep the losses of all steps of a process of its own, one of several."""
    nn.BatchNorm2d.train = lambda self, mode=True: nn.Module.train(self, False)
    torch.set_num_threads(1)
    run.load_training_set = run.load_validation_set = lambda *_: [basics.squares(), basics.squares(seed=1)]
    if processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=processes)
    cfg = basics.config(
        "DATA.TRAIN.SAMPLE_PER_EPOCH=80", "TRAIN.EPOCH=5", "TRAIN.DROP_PATH_RATE=0", "TRAIN.VAL_EPOCH_INTERVAL=5",
        "TRAIN.LR=0.0004", "DATA.VAL.SAMPLE_PER_EPOCH=5", *changes,
    )  # fmt: skip
    run.seed_everything(1)
    trainer = basics.build(cfg, folder, run_log=basics.MemoryLog())
    losses, gather = [], trainer.gather_gradients
    trainer.gather_gradients = lambda *a, **k: losses.append(gather(*a, **k)) or losses[-1]
    trainer.run()
    validated = [value for name, value, _ in trainer.run_log.scalars if name.startswith("val/") and "_" not in name]
    np.savez(folder / f"{rank}.npz", losses=[float(one["loss"].detach()) for one in losses], validated=validated[:5])


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    start, small = torch.multiprocessing.spawn, ["TRAIN.BATCH_SIZE=2", "TRAIN.GLOBAL_BATCH=8"]
    start(train_as, (1, folders[0], ["TRAIN.BATCH_SIZE=8"]), nprocs=1)
    start(train_as, (2, folders[1], small), nprocs=2)
    one = np.load(folders[0] / "0.npz")
    ranks = [np.load(folders[1] / f"{rank}.npz") for rank in (0, 1)]
    together = np.mean([rank["losses"].reshape(-1, 2).mean(axis=1) for rank in ranks], axis=0)
    assert len(one["losses"]) == 50
    assert one["losses"][-5:].mean() < 0.85 * one["losses"][:5].mean(), "they learn, so that differences would show"
    np.testing.assert_allclose(together, one["losses"], rtol=1e-5)
    np.testing.assert_allclose(ranks[0]["validated"], one["validated"], rtol=1e-5)

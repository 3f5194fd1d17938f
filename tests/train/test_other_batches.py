"""A family that learns from something else than pairs: sets of frames with masks, through the trainer as it is."""

import logging
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import runs
import test_training as basics
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lib.layers.normalize import Normalize
from lib.models.base import Network
from lib.train import run
from lib.train.data import loader
from lib.train.data.sample import Sample, collate
from lib.train.data.sampler import EpochIndices
from lib.train.validation import validate

FRAMES, SIDE = 3, 12


class FrameSet(NamedTuple):
    """Frames of one video, the first of them with a mask of the target."""

    frames: Tensor  # [B, N, 3, S, S]
    mask: Tensor  # [B, S, S] in [0, 1]
    weight: Tensor | None = None  # [B]

    @property
    def size(self):
        return len(self.mask)

    def apply(self, change):
        return FrameSet._make(part if part is None else change(part) for part in self)

    def normalised(self, normalize):
        return self._replace(frames=normalize(self.frames))


class FrameSets(Dataset):
    """Bright squares on noise, drawn from (stage, epoch, index) alone."""

    def __init__(self, stage):
        self.stage = stage

    def __getitem__(self, key):
        epoch, index = key
        rng = torch.Generator().manual_seed(1000 * self.stage + 100 * epoch + index)
        frames = torch.randint(0, 100, (FRAMES, 3, SIDE, SIDE), generator=rng, dtype=torch.uint8)
        x, y = torch.randint(0, SIDE - 5, (2,), generator=rng).tolist()
        mask = torch.zeros(SIDE, SIDE)
        mask[y : y + 5, x : x + 5] = 1
        frames[:, :, mask.bool()] += 100
        return Sample(FrameSet(frames, mask), unreadable=0)


class MaskNetwork(Network):
    """Says of each pixel whether it is the target's; all that training asks is `normalize` and `step`."""

    def __init__(self):
        super().__init__()
        self.normalize = Normalize([0.5] * 3, [0.25] * 3, FRAMES)
        self.backbone = nn.Sequential(nn.Conv2d(3 * FRAMES, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 1, 1)
        self.drop = nn.Dropout2d(0.2)
        self.epochs = []

    def step(self, batch):
        assert batch.frames.shape[1:] == (FRAMES, 3, SIDE, SIDE) and batch.frames.dtype == torch.float32
        logits = self.head(self.drop(self.backbone(batch.frames.flatten(1, 2))))[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, batch.mask)
        right = ((logits > 0) == batch.mask.bool()).float()
        inside = batch.mask.bool()
        return {"mask": loss}, {
            "right": right.mean().detach(),
            "found": torch.stack([right[inside].sum(), inside.sum()]),
        }

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


def loaders():
    made = []
    for stage, number in ((0, 12), (1, 5)):
        indices = EpochIndices(number, rank=0, world_size=1)
        made.append(DataLoader(FrameSets(stage), 4, sampler=indices, collate_fn=collate, generator=torch.Generator()))
    return run.Loaders(*made)


@pytest.fixture
def make_trainer(tmp_path):
    def make(*changes, folder=tmp_path):
        cfg = basics.config("TRAIN.LR=0.02", "TRAIN.EPOCH=2", "TRAIN.BATCH_SIZE=4", *changes)
        run.seed_everything(cfg.TRAIN.SEED)
        device, log = torch.device("cpu"), basics.MemoryLog()
        return run.build_trainer(cfg, MaskNetwork(), loaders(), folder, device=device, run_log=log)

    return make


@pytest.mark.parametrize("more", [[], ["TRAIN.EMA_DECAY=0.6", "TRAIN.AMP=true", "TRAIN.GLOBAL_BATCH=4"]])
def test_sets_of_frames_train_and_go_on(make_trainer, tmp_path, caplog, more):
    whole = make_trainer(*more)
    with caplog.at_level(logging.INFO):
        whole.run()
    assert whole.model.epochs == [1, 2] and "train epoch 2/2  step 3/3  loss " in caplog.text
    curves = {name: [v for n, v, _ in whole.run_log.scalars if n == name] for name in ("train/loss", "val/found")}
    assert len(curves["train/loss"]) == 6 and len(curves["val/found"]) == 2
    assert curves["train/loss"][-1] < curves["train/loss"][0]
    assert whole.run_log.images == [], "nobody draws such batches"
    assert [path.name for path in sorted(tmp_path.glob("*.tar"))] == [
        "MaskNetwork_ep0001.pth.tar", "MaskNetwork_ep0002.pth.tar"
    ]  # fmt: skip
    second = make_trainer(*more)
    torch.manual_seed(99)
    runs.resume(second, tmp_path / "MaskNetwork_ep0001.pth.tar")
    second.run()
    assert basics.same(basics.weights(whole), basics.weights(second))
    assert basics.same(whole.result.state_dict(), second.result.state_dict())


def test_the_loader_of_a_kind_is_found_by_what_the_network_says(monkeypatch):
    """One line in a table; `train.py` and `validate.py` need no other change."""
    asked = []

    def build(cfg, datasets, *, stage):
        asked.append(stage)
        return loaders()[stage]

    monkeypatch.setitem(loader.LOADERS, "frame_sets", build)
    monkeypatch.setattr(MaskNetwork, "samples", "frame_sets", raising=False)
    monkeypatch.setattr(loader, "network_class", lambda cfg: MaskNetwork)
    monkeypatch.setattr(run, "load_training_set", lambda name, folders: [])
    monkeypatch.setattr(run, "load_validation_set", lambda name, folders: [])
    made = run.build_loaders(basics.config("DATA.VAL.DATASETS_NAME=[x]", "DATA.VAL.DATASETS_RATIO=[1]"), {})
    assert asked == [0, 1] and isinstance(next(iter(made.val)).batch, FrameSet)


def test_every_set_counts_once_in_validation(make_trainer):
    trainer = make_trainer()
    network = trainer.model.eval()
    figures = validate(network, trainer.val_loader, trainer.cfg, trainer.device).figures
    sets = [FrameSets(1)[(0, index)] for index in range(5)]
    batch = collate(sets).batch.normalised(network.normalize)
    with torch.no_grad():
        losses, expected = network.step(batch)
    assert figures["loss"] == pytest.approx(float(losses["mask"]), rel=1e-5)
    assert figures["found"] == pytest.approx(float(expected["found"][0] / expected["found"][1]))
    assert batch.weight is None and batch.size == 5


def test_the_trainer_names_no_field_of_a_batch():
    root = Path(run.__file__).parent
    for name in ("trainer.py", "validation.py", "step.py", "run.py"):
        text = (root / name).read_text(encoding="utf-8")
        assert not re.search(r"(batch|sample|raw)\.(template|search|kind|others)", text), name

"""Training samples in loader processes: the same sample for the same (seed, epoch, index), however many load."""

import functools
import logging
from collections.abc import Iterator
from collections.abc import Sequence as Many
from typing import NamedTuple

import cv2
import numpy as np
import torch
from easydict import EasyDict
from torch.utils.data import DataLoader, Dataset, default_collate

from lib.core.distributed import rank, world_size
from lib.core.errors import InputError
from lib.datasets.sequence import Sequence
from lib.models.base import Batch
from lib.train.augment import CropRecipe, View, draw_view
from lib.train.modality import Streams
from lib.train.sampler import MODES, EpochIndices, Pairs

log = logging.getLogger(__name__)


class Sample(NamedTuple):
    """One training pair, pixels as uint8, and how many unreadable ones were passed over to find it."""

    batch: Batch
    unreadable: int


class PairDataset(Dataset[Sample]):
    """Pairs by (epoch, index)."""

    _TRIES = 200

    def __init__(self, cfg: EasyDict, pairs: Pairs, modalities: int, *, stage: int):
        """stage: 0 for training, 1 for validation; it keeps their draws apart."""
        self.pairs = pairs
        self.streams = Streams.from_config(cfg, modalities, stage=stage)
        self.seed = (cfg.TRAIN.SEED, stage)
        self.template = CropRecipe.from_config(cfg.DATA.TEMPLATE)
        self.search = CropRecipe.from_config(cfg.DATA.SEARCH)
        self.scaled: bool = cfg.DATA.SCALED_DECODE

    def __getitem__(self, key: tuple[int, int]) -> Sample:  # type: ignore[override]
        """Raises InputError when no readable pair is found in many draws."""
        seed = (*self.seed, *key)
        rng = np.random.default_rng(seed)
        unreadable, last = 0, ""
        for _ in range(self._TRIES):
            pair = self.pairs.draw(rng)
            try:
                template = self._view(pair.sequence, pair.template, self.template, seed, rng)
                search = template and self._view(pair.sequence, pair.search, self.search, seed, rng)
            except InputError as error:
                unreadable, last = unreadable + 1, str(error)
                _warn_once(last)
                continue
            if template is not None and search is not None:
                return Sample(_to_batch(*self.streams.drop([template, search], seed)), unreadable)
        raise InputError(f"no usable training pair in {self._TRIES} draws; {last or 'the targets leave their images'}")

    def _view(
        self, sequence: Sequence, row: int, recipe: CropRecipe, seed: tuple[int, ...], rng: np.random.Generator
    ) -> View | None:
        """The view of an annotated frame."""
        frame = row if sequence.annotated is None else int(sequence.annotated[row])

        def read(reduction: int) -> np.ndarray:
            return self.streams.stack(sequence.frames.reduced(frame, reduction), sequence.name, seed)

        return draw_view(read, sequence.boxes[row], recipe, rng, scaled=self.scaled)


def build_loader(
    cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int, modalities: int
) -> DataLoader[Sample]:
    """Batches of this process. stage: 0 for training, 1 for validation.

    `loader.sampler.epoch` is to be set before each epoch.
    """
    name = ("TRAIN", "VAL")[stage]
    part, samples = cfg.DATA[name], cfg.DATA[name].SAMPLE_PER_EPOCH
    if stage == 0:
        samples -= samples % world_size()  # processes that take different numbers of steps would wait for ever
    if samples < world_size() * (cfg.TRAIN.BATCH_SIZE if stage == 0 else 1):
        raise InputError(
            f"DATA.{name}.SAMPLE_PER_EPOCH: {part.SAMPLE_PER_EPOCH} is not one batch of {cfg.TRAIN.BATCH_SIZE} "
            f"for each of {world_size()} processes; raise it, or lower TRAIN.BATCH_SIZE"
        )
    pairs = MODES[cfg.DATA.SAMPLER_MODE](datasets, part.DATASETS_RATIO, cfg.DATA.MAX_SAMPLE_INTERVAL)
    return DataLoader(
        PairDataset(cfg, pairs, modalities, stage=stage),
        batch_size=cfg.TRAIN.BATCH_SIZE,
        sampler=EpochIndices(samples, rank=rank(), world_size=world_size()),
        generator=torch.Generator(),  # of workers' seeds, which nothing uses: the network's draws stay its own
        num_workers=cfg.TRAIN.NUM_WORKER,
        persistent_workers=cfg.TRAIN.NUM_WORKER > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_quieten_worker,
        collate_fn=collate,
        drop_last=stage == 0,
    )


def collate(samples: Many[Sample]) -> Sample:
    """Samples as one; what they leave None stays so."""
    parts = zip(*(sample.batch for sample in samples), strict=True)
    batch = Batch._make(None if part[0] is None else default_collate(list(part)) for part in parts)
    return Sample(batch, default_collate([sample.unreadable for sample in samples]))


def read_batches(loader: DataLoader[Sample]) -> Iterator[Sample]:
    """The loader's batches; what a loader process could not use arrives as the one line that it raised there."""
    try:
        yield from loader
    except InputError as error:
        line = str(error).strip().splitlines()[-1]  # the last of the traceback that torch puts before it
        raise InputError(line.removeprefix(f"{InputError.__module__}.{InputError.__name__}: ")) from None


def _to_batch(template: View, search: View) -> Batch:
    template_box, search_box = (torch.tensor(view.box, dtype=torch.float32) for view in (template, search))
    return Batch(_to_tensor(template.image), template_box, _to_tensor(search.image), search_box)


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    """[S, S, 3 M] uint8 -> [M, 3, S, S]"""
    return torch.from_numpy(image).unflatten(2, (-1, 3)).permute(2, 3, 0, 1).contiguous()


def _quieten_worker(_: int) -> None:
    cv2.setNumThreads(0)  # the processes already share the cores out
    torch.set_num_threads(1)


@functools.cache
def _warn_once(message: str) -> None:
    log.warning("unreadable training sample passed over: %s", message)

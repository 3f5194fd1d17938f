"""Training samples that are drawn at random, each from (seed, epoch, index) alone, and their loader: what pairs and
sets of frames have in common."""

import functools
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from easydict import EasyDict
from torch.utils.data import DataLoader, Dataset

from ...core.distributed import rank, world_size
from ...core.errors import InputError
from ...datasets import depth, orientation
from ...datasets.depth import limit_lines
from ...datasets.sequence import Sequence
from .augment import ReadRow
from .modality import StreamRules
from .sample import Sample, collate
from .sampler import EpochIndices, NoPair

log = logging.getLogger(__name__)


class Draw(NamedTuple):
    """What a sample is made with."""

    rng: np.random.Generator
    read: ReadRow
    seed: tuple[int, ...]  # of the sample
    key: tuple[int, int]  # epoch, index


class DrawnSamples(Dataset[Sample], ABC):
    """Samples, indexed by (epoch, index)."""

    _TRIES = 200

    def __init__(self, streams: StreamRules, *, seed: tuple[int, int]):
        """seed: of the run and of the stage, so that training and validation draw different samples."""
        self.streams, self.seed = streams, seed

    @abstractmethod
    def make(self, draw: Draw) -> Sample | None:
        """A sample; None where the drawn frames cannot be used. Raises NoPair where the data sets have none, InputError
        for a file that cannot be read."""

    def __getitem__(self, key: tuple[int, int]) -> Sample:  # type: ignore[override]
        """Draws until a sample can be read. Raises InputError after 200 draws without one."""
        seed = (*self.seed, *key)
        draw = Draw(np.random.default_rng(seed), functools.partial(self._read, seed), seed, key)
        unreadable, last = 0, ""
        for _ in range(self._TRIES):
            try:
                sample = self.make(draw)
            except NoPair:
                raise
            except InputError as error:
                unreadable, last = unreadable + 1, str(error)
                _warn_once(last)
                continue
            if sample is not None:
                return sample._replace(unreadable=unreadable)
        raise InputError(f"no usable training pair in {self._TRIES} draws; {last or 'the targets leave their images'}")

    def _read(self, seed: tuple[int, ...], sequence: Sequence, row: int, reduction: int) -> np.ndarray:
        images = sequence.frames.reduced(sequence.frame_of(row), reduction)
        return self.streams.stack(images, sequence.frames.modalities, sequence.name, seed)


def make_loader(cfg: EasyDict, samples: Callable[[], Dataset[Sample]], *, stage: int) -> DataLoader[Sample]:
    """Batches for this process. samples: makes the data set; stage: 0 for training, 1 for validation.

    Raises InputError where an epoch has no batch.
    """
    name = ("TRAIN", "VAL")[stage]
    part, count = cfg.DATA[name], cfg.DATA[name].SAMPLE_PER_EPOCH
    if stage == 0:
        count -= count % world_size()  # with different numbers of steps the processes would wait forever
    if count < world_size() * (cfg.TRAIN.BATCH_SIZE if stage == 0 else 1):
        raise InputError(
            f"DATA.{name}.SAMPLE_PER_EPOCH: {part.SAMPLE_PER_EPOCH} is less than one batch of {cfg.TRAIN.BATCH_SIZE} "
            f"for each of {world_size()} processes; raise it, or lower TRAIN.BATCH_SIZE"
        )
    return DataLoader(
        samples(),
        batch_size=cfg.TRAIN.BATCH_SIZE,
        sampler=EpochIndices(count, rank=rank(), world_size=world_size()),
        generator=torch.Generator(),  # for the workers' seeds, so that they do not use the network's generator
        num_workers=cfg.TRAIN.NUM_WORKER,
        persistent_workers=cfg.TRAIN.NUM_WORKER > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_set_up_worker,
        collate_fn=collate,
        drop_last=stage == 0,
    )


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """[S, S, 3 M] uint8 -> [M, 3, S, S]"""
    return torch.from_numpy(image).unflatten(2, (-1, 3)).permute(2, 3, 0, 1).contiguous()


def to_floats(values: Any) -> torch.Tensor:
    """An array or lists of numbers -> float32, same shape"""
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def _set_up_worker(number: int) -> None:
    cv2.setNumThreads(0)  # the processes already share the cores
    torch.set_num_threads(1)
    for lines in (depth.log, orientation.log):
        limit_lines(1 if number == 0 else 0, lines)  # of thousands of streams
    sys.excepthook = _end_quietly


def _end_quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Called for an error that nobody catches. No traceback where the main process, which says why it ends, has ended
    while it took a batch."""
    if not issubclass(kind, EOFError | ConnectionError):
        sys.__excepthook__(kind, error, trace)


@functools.cache
def _warn_once(message: str) -> None:
    log.warning("unreadable training sample skipped: %s", message)

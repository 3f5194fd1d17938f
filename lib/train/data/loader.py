"""Training samples in loader processes: the same sample for the same (seed, epoch, index), however many load."""

import functools
import logging
import re
from collections.abc import Iterator
from collections.abc import Sequence as Many
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from easydict import EasyDict
from torch.utils.data import DataLoader, Dataset, default_collate

from ...core.distributed import rank, world_size
from ...core.errors import InputError
from ...datasets.sequence import Sequence
from ...models.base import Batch
from .augment import FamilyViews, Views
from .context import ContextViews
from .modality import Streams
from .pair_kinds import PairKinds
from .sampler import MODES, EpochIndices, NoPair, Pair, Pairs
from .tally import Tally

log = logging.getLogger(__name__)


_RAISED = re.compile(r"^lib\.[\w.]+: ")  # the class of an error, in front of what it says

#: DATA.SAMPLER_MODE -> how pairs are drawn
SAMPLERS: dict[str, type[Pairs]] = {**MODES, "kinds": PairKinds}

#: How networks are shown pairs in training
VIEWS: dict[str, type[FamilyViews] | type[ContextViews]] = {"jittered": FamilyViews, "context": ContextViews}


class Sample(NamedTuple):
    """One training pair, pixels as uint8, and how many unreadable ones were passed over to find it."""

    batch: Batch
    unreadable: int
    category: Any = ""  # of the target, where its sampler knows; of a batch: all of them


class PairDataset(Dataset[Sample]):
    """Pairs by (epoch, index)."""

    _TRIES = 200

    def __init__(self, cfg: EasyDict, pairs: Pairs, modalities: int, *, stage: int, views: str = "jittered"):
        """stage: 0 for training, 1 for validation; it keeps their draws apart. views: which of VIEWS."""
        self.pairs = pairs
        self.streams = Streams.from_config(cfg, modalities, stage=stage)
        self.seed = (cfg.TRAIN.SEED, stage)
        self.views = VIEWS[views].from_config(cfg)

    def __getitem__(self, key: tuple[int, int]) -> Sample:  # type: ignore[override]
        """Raises InputError when no readable pair is found in many draws."""
        seed = (*self.seed, *key)
        rng = np.random.default_rng(seed)
        kind = self.pairs.kind(self.seed, *key)
        unreadable, last = 0, ""

        def read(sequence: Sequence, row: int, reduction: int) -> np.ndarray:
            frame = sequence.frame_of(row)
            return self.streams.stack(sequence.frames.reduced(frame, reduction), sequence.name, seed)

        for _ in range(self._TRIES):
            try:
                pair = self.pairs.draw(rng, kind)
                views = self.views(pair, read, rng)
            except NoPair:
                raise
            except InputError as error:
                unreadable, last = unreadable + 1, str(error)
                _warn_once(last)
                continue
            if views is not None:
                crops = self.streams.drop([views.template, views.search], seed)
                batch = _to_batch(views._replace(template=crops[0], search=crops[1]), pair)
                return Sample(batch, unreadable, pair.category)
        raise InputError(f"no usable training pair in {self._TRIES} draws; {last or 'the targets leave their images'}")


def build_loader(
    cfg: EasyDict,
    datasets: Many[Many[Sequence]],
    *,
    stage: int,
    modalities: int,
    views: str = "jittered",
) -> DataLoader[Sample]:
    """Batches of this process. stage: 0 for training, 1 for validation; views: as `PairDataset`.

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
    pairs = SAMPLERS[cfg.DATA.SAMPLER_MODE].from_config(cfg, datasets, stage=stage)
    return DataLoader(
        PairDataset(cfg, pairs, modalities, stage=stage, views=views),
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
    unreadable = default_collate([sample.unreadable for sample in samples])
    return Sample(batch, unreadable, [sample.category for sample in samples])


def read_batches(loader: DataLoader[Sample]) -> Iterator[Sample]:
    """The loader's batches; what a loader process could not use arrives as the one line that it raised there. What
    kinds of pairs and categories there were is logged at the end, where a sampler knows of them."""
    tally = Tally()
    try:
        for sample in loader:
            tally.add(sample.batch.kind, sample.category)
            yield sample
    except InputError as error:
        line = str(error).strip().splitlines()[-1]  # the last of the traceback that torch puts before it
        raise InputError(_RAISED.sub("", line)) from None
    finally:
        tally.report()


def _to_batch(views: Views, pair: Pair) -> Batch:
    template, search = views.template, views.search
    template_box, search_box = (torch.tensor(view.box, dtype=torch.float32) for view in (template, search))
    batch = Batch(_to_tensor(template.image), template_box, _to_tensor(search.image), search_box)
    if views.others is None:
        return batch
    return batch._replace(
        positive=torch.tensor(pair.found is None),
        others=torch.tensor(views.others, dtype=torch.float32),
        kind=torch.tensor(pair.kind),
    )


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    """[S, S, 3 M] uint8 -> [M, 3, S, S]"""
    return torch.from_numpy(image).unflatten(2, (-1, 3)).permute(2, 3, 0, 1).contiguous()


def _quieten_worker(_: int) -> None:
    cv2.setNumThreads(0)  # the processes already share the cores out
    torch.set_num_threads(1)


@functools.cache
def _warn_once(message: str) -> None:
    log.warning("unreadable training sample passed over: %s", message)

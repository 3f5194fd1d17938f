"""Training pairs from loader processes. A pair depends only on (seed, epoch, index), not on the number of processes."""

import functools
import logging
from collections.abc import Callable
from collections.abc import Sequence as Many

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
from ...models import network_class
from ...models.base import PAIR_KINDS, PairBatch
from .augment import JitteredCrops, PairCrops, ReadRow
from .context import ContextCrops
from .modality import StreamRules
from .pair_kinds import PairKinds
from .sample import Sample, collate
from .sampler import MODES, EpochIndices, NoPair, Pair, PairSampler
from .stream_crops import StreamCrops
from .stretched import StretchedCrops

log = logging.getLogger(__name__)

#: DATA.SAMPLER_MODE -> how pairs are drawn
SAMPLERS: dict[str, type[PairSampler]] = {**MODES, "kinds": PairKinds}

#: `training_crops` of a network -> how the frames of a pair are cut
TRAINING_CROPS: dict[str, type[JitteredCrops] | type[ContextCrops]] = {
    "jittered": JitteredCrops,
    "context": ContextCrops,
    "stretched": StretchedCrops,
    "streams": StreamCrops,
}

Cut = Callable[[Pair, ReadRow, np.random.Generator], PairCrops | None]


class PairDataset(Dataset[Sample]):
    """Pairs, indexed by (epoch, index)."""

    _TRIES = 200

    def __init__(self, pairs: PairSampler, cut: Cut, streams: StreamRules, *, seed: tuple[int, int]):
        """seed: of the run and of the stage, so that training and validation draw different pairs."""
        self.pairs, self.cut, self.streams, self.seed = pairs, cut, streams, seed

    def __getitem__(self, key: tuple[int, int]) -> Sample:  # type: ignore[override]
        """Draws until a pair can be read. Raises InputError after 200 draws without one."""
        seed = (*self.seed, *key)
        rng = np.random.default_rng(seed)
        kind = self.pairs.kind(self.seed, *key)
        unreadable, last = 0, ""

        def read(sequence: Sequence, row: int, reduction: int) -> np.ndarray:
            frame = sequence.frame_of(row)
            images = sequence.frames.reduced(frame, reduction)
            return self.streams.stack(images, sequence.frames.modalities, sequence.name, seed)

        for _ in range(self._TRIES):
            try:
                pair = self.pairs.draw(rng, kind)
                crops = self.cut(pair, read, rng)
            except NoPair:
                raise
            except InputError as error:
                unreadable, last = unreadable + 1, str(error)
                _warn_once(last)
                continue
            if crops is not None:
                template, search = self.streams.change([crops.template, crops.search], seed)
                return _to_sample(crops._replace(template=template, search=search), pair, unreadable)
        raise InputError(f"no usable training pair in {self._TRIES} draws; {last or 'the targets leave their images'}")


def build_loader(cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> DataLoader[Sample]:
    """Batches for this process, of the kind that the network of a configuration learns from. stage: 0 for training, 1
    for validation.

    `loader.sampler.epoch` must be set before each epoch. Raises InputError where an epoch has no batch.
    """
    return LOADERS[network_class(cfg).samples](cfg, datasets, stage=stage)


def build_pair_loader(cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> DataLoader[Sample]:
    """As `build_loader`, batches of pairs."""
    name = ("TRAIN", "VAL")[stage]
    part, samples = cfg.DATA[name], cfg.DATA[name].SAMPLE_PER_EPOCH
    if stage == 0:
        samples -= samples % world_size()  # with different numbers of steps the processes would wait forever
    if samples < world_size() * (cfg.TRAIN.BATCH_SIZE if stage == 0 else 1):
        raise InputError(
            f"DATA.{name}.SAMPLE_PER_EPOCH: {part.SAMPLE_PER_EPOCH} is less than one batch of {cfg.TRAIN.BATCH_SIZE} "
            f"for each of {world_size()} processes; raise it, or lower TRAIN.BATCH_SIZE"
        )
    network = network_class(cfg)
    pairs = SAMPLERS[cfg.DATA.SAMPLER_MODE].from_config(cfg, datasets, stage=stage)
    cut = TRAINING_CROPS[network.training_crops].from_config(cfg)
    streams = StreamRules.from_config(cfg, network.modalities, stage=stage)
    return DataLoader(
        PairDataset(pairs, cut, streams, seed=(cfg.TRAIN.SEED, stage)),
        batch_size=cfg.TRAIN.BATCH_SIZE,
        sampler=EpochIndices(samples, rank=rank(), world_size=world_size()),
        generator=torch.Generator(),  # for the workers' seeds, so that they do not use the network's generator
        num_workers=cfg.TRAIN.NUM_WORKER,
        persistent_workers=cfg.TRAIN.NUM_WORKER > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_set_up_worker,
        collate_fn=collate,
        drop_last=stage == 0,
    )


#: `samples` of a network -> how they are loaded
LOADERS: dict[str, Callable[..., DataLoader[Sample]]] = {"pairs": build_pair_loader}


def _to_sample(crops: PairCrops, pair: Pair, unreadable: int) -> Sample:
    template, search = crops.template, crops.search
    template_box, search_box = (torch.tensor(crop.box, dtype=torch.float32) for crop in (template, search))
    batch = PairBatch(_to_tensor(template.image), template_box, _to_tensor(search.image), search_box)
    if crops.others is None:
        return Sample(batch, unreadable)
    batch = batch._replace(
        positive=torch.tensor(pair.found is None),
        others=torch.tensor(crops.others, dtype=torch.float32),
        kind=torch.tensor(pair.kind),
    )
    return Sample(batch, unreadable, PAIR_KINDS[pair.kind], pair.category)


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    """[S, S, 3 M] uint8 -> [M, 3, S, S]"""
    return torch.from_numpy(image).unflatten(2, (-1, 3)).permute(2, 3, 0, 1).contiguous()


def _set_up_worker(number: int) -> None:
    cv2.setNumThreads(0)  # the processes already share the cores
    torch.set_num_threads(1)
    for lines in (depth.log, orientation.log):
        limit_lines(1 if number == 0 else 0, lines)  # of thousands of streams


@functools.cache
def _warn_once(message: str) -> None:
    log.warning("unreadable training sample skipped: %s", message)

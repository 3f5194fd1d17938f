"""Training pairs from loader processes. A pair depends only on (seed, epoch, index), not on the number of processes."""

from collections.abc import Callable
from collections.abc import Sequence as Many

import numpy as np
import torch
from easydict import EasyDict
from torch.utils.data import DataLoader

from ...datasets.sequence import Sequence
from ...models import network_class
from ...models.base import PAIR_KINDS, PairBatch
from .augment import JitteredCrops, PairCrops, ReadRow
from .context import ContextCrops
from .drawn import Draw, DrawnSamples, make_loader, to_floats, to_tensor
from .frame_sets import build_set_loader
from .masked_crops import MaskedContextCrops, MaskedCrops
from .modality import StreamRules
from .near_pairs import NearPairs
from .pair_kinds import PairKinds
from .sample import Sample
from .sampler import MODES, Pair, PairSampler
from .stream_crops import StreamCrops
from .stretched import StretchedCrops

#: DATA.SAMPLER_MODE -> how pairs are drawn
SAMPLERS: dict[str, type[PairSampler]] = {**MODES, "kinds": PairKinds, "near": NearPairs}

#: `training_crops` of a network -> how the frames of a pair are cut
TRAINING_CROPS: dict[str, type[JitteredCrops] | type[ContextCrops] | type[MaskedCrops]] = {
    "jittered": JitteredCrops,
    "context": ContextCrops,
    "stretched": StretchedCrops,
    "streams": StreamCrops,
    "masked": MaskedCrops,
    "context_masks": MaskedContextCrops,
}

Cut = Callable[[Pair, ReadRow, np.random.Generator], PairCrops | None]


class PairDataset(DrawnSamples):
    """Pairs, indexed by (epoch, index)."""

    def __init__(self, pairs: PairSampler, cut: Cut, streams: StreamRules, *, seed: tuple[int, int]):
        """seed: of the run and of the stage, so that training and validation draw different pairs."""
        super().__init__(streams, seed=seed)
        self.pairs, self.cut = pairs, cut

    def make(self, draw: Draw) -> Sample | None:
        """A pair; None where its crops are rejected."""
        pair = self.pairs.draw(draw.rng, self.pairs.kind(self.seed, *draw.key))
        crops = self.cut(pair, draw.read, draw.rng)
        if crops is None:
            return None
        template, search = self.streams.change([crops.template, crops.search], draw.seed)
        return _to_sample(crops._replace(template=template, search=search), pair)


def build_loader(cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> DataLoader[Sample]:
    """Batches for this process, of the kind that the network of a configuration learns from. stage: 0 for training, 1
    for validation.

    `loader.sampler.epoch` must be set before each epoch. Raises InputError where an epoch has no batch.
    """
    return LOADERS[network_class(cfg).samples](cfg, datasets, stage=stage)


def build_pair_loader(cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> DataLoader[Sample]:
    """As `build_loader`, batches of pairs."""
    network = network_class(cfg)

    def make() -> PairDataset:
        pairs = SAMPLERS[cfg.DATA.SAMPLER_MODE].from_config(cfg, datasets, stage=stage)
        cut = TRAINING_CROPS[network.training_crops].from_config(cfg)
        streams = StreamRules.from_config(cfg, network.modalities, stage=stage)
        return PairDataset(pairs, cut, streams, seed=(cfg.TRAIN.SEED, stage))

    return make_loader(cfg, make, stage=stage)


#: `samples` of a network -> how they are loaded
LOADERS: dict[str, Callable[..., DataLoader[Sample]]] = {"pairs": build_pair_loader, "frame_sets": build_set_loader}


def _to_sample(crops: PairCrops, pair: Pair) -> Sample:
    template, search = crops.template, crops.search
    batch = PairBatch(
        to_tensor(template.image), to_floats(template.box), to_tensor(search.image), to_floats(search.box)
    )
    if crops.mask is not None:
        batch = batch._replace(mask=torch.from_numpy(crops.mask), has_mask=torch.tensor(crops.has_mask))
    if crops.others is None:
        return Sample(batch, 0)
    batch = batch._replace(
        positive=torch.tensor(pair.found is None), others=to_floats(crops.others), kind=torch.tensor(pair.kind)
    )
    return Sample(batch, 0, PAIR_KINDS[pair.kind], pair.category)

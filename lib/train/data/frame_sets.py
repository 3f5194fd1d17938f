"""Sets of frames of one target: some to learn it from, some to find it in (ATOM, CVPR 2019; DiMP, ICCV 2019)."""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from easydict import EasyDict
from torch.utils.data import DataLoader

from ...datasets.sequence import Sequence
from ...models import network_class
from ...models.frame_set import FrameSetBatch
from .drawn import Draw, DrawnSamples, make_loader, to_floats, to_tensor
from .modality import StreamRules
from .near_pairs import Shown, VideoDraw
from .sample import Sample
from .set_crops import SetCrops

_GROWTH = 5  # frames that an interval grows by until it has a frame


class FrameSet(NamedTuple):
    """Rows of a sequence's annotation."""

    sequence: Sequence
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class FrameSets:
    """Draws a sequence, then its frames. Frames may be drawn twice.

    A first frame is uniform among those that show the target. causal: the other frames to learn from are at most
    `max_interval` frames before it, those to find the target in as many behind it. Otherwise all are at most that far
    from it on either side. An interval without any frame grows in steps of 5. Of an image set all frames are the same
    image.
    """

    videos: VideoDraw
    train: int
    test: int
    max_interval: int
    causal: bool

    @classmethod
    def from_config(cls, cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> "FrameSets":
        """From DATA."""
        data = cfg.DATA
        return cls(
            VideoDraw.from_config(cfg, datasets, stage=stage),
            data.TRAIN_FRAMES.NUMBER,
            data.TEST_FRAMES.NUMBER,
            data.MAX_SAMPLE_INTERVAL,
            data.SAMPLER_MODE == "causal",
        )

    def draw(self, rng: np.random.Generator) -> FrameSet:
        """A set. Raises NoPair where the data sets have none."""
        shown = self.videos.draw(rng, self.train + self.test)
        if shown.still:
            row = int(shown.rows[0])
            return FrameSet(shown.sequence, (row,) * self.train, (row,) * self.test)
        numbers = shown.numbers
        usable = np.arange(len(numbers))
        if self.causal:
            usable = usable[int(self.train > 1) : len(usable) - 1]  # which have a frame before and one behind
        first = int(usable[rng.integers(len(usable))])
        distance = numbers - numbers[first]
        train = [first, *self._near(rng, -distance, self.train - 1)]
        test = self._near(rng, distance, self.test)
        return FrameSet(shown.sequence, _rows(shown, train), _rows(shown, test))

    def _near(self, rng: np.random.Generator, ahead: np.ndarray, count: int) -> list[int]:
        """`count` frames within the interval. ahead: [T] frames from the first one, in the causal direction."""
        if not count:
            return []
        far = ahead if self.causal else abs(ahead)
        allowed = np.flatnonzero(far > 0 if self.causal else far >= 0)
        nearest = far[allowed].min()
        reach = self.max_interval + max(0, int(np.ceil((nearest - self.max_interval) / _GROWTH))) * _GROWTH
        return rng.choice(allowed[far[allowed] <= reach], count).tolist()


class FrameSetDataset(DrawnSamples):
    """Sets of frames, indexed by (epoch, index)."""

    def __init__(self, sets: FrameSets, cut: SetCrops, streams: StreamRules, *, seed: tuple[int, int]):
        """seed: as DrawnSamples'."""
        super().__init__(streams, seed=seed)
        self.sets, self.cut = sets, cut

    def make(self, draw: Draw) -> Sample:
        """A set."""
        chosen = self.sets.draw(draw.rng)
        crops = self.cut(chosen.sequence, chosen.train, chosen.test, draw.read, draw.rng)
        proposals = crops.proposals
        sampling = [one.sampling for one in proposals if one.sampling is not None]
        batch = FrameSetBatch(
            train=to_tensor(np.concatenate([crop.image for crop in crops.train], axis=2)),
            train_boxes=to_floats([crop.box for crop in crops.train]),
            test=to_tensor(np.concatenate([crop.image for crop in crops.test], axis=2)),
            test_boxes=to_floats([crop.box for crop in crops.test]),
            proposals=to_floats([one.boxes for one in proposals]),
            wanted=to_floats([one.wanted for one in proposals]),
            sampling=to_floats(sampling) if sampling else None,
        )
        return Sample(batch, 0)


def build_set_loader(cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> DataLoader[Sample]:
    """Batches of sets of frames. stage: 0 for training, 1 for validation. Raises InputError where an epoch has no
    batch."""

    def make() -> FrameSetDataset:
        streams = StreamRules.from_config(cfg, network_class(cfg).modalities, stage=stage)
        sets = FrameSets.from_config(cfg, datasets, stage=stage)
        return FrameSetDataset(sets, SetCrops.from_config(cfg), streams, seed=(cfg.TRAIN.SEED, stage))

    return make_loader(cfg, make, stage=stage)


def _rows(shown: Shown, places: Many[int]) -> tuple[int, ...]:
    return tuple(int(shown.rows[place]) for place in places)

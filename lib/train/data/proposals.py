"""Boxes around a target that IoU-Net learns from: boxes of any IoU (ATOM, CVPR 2019, section 3.1), or samples of a
known density (PrDiMP, CVPR 2020, section 4.1). K boxes, xywh pixels."""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from easydict import EasyDict

from ...core.boxes import cxcywh_to_xywh, xywh_to_cxcywh
from ...core.errors import InputError

_TRIES = 100  # draws of boxes whose IoU is too low
_SHRINK = 0.9  # of their deviation after each draw
_LEAST_SIDE = 1.0  # pixels


class Proposals(NamedTuple):
    """Boxes around one target."""

    boxes: np.ndarray  # [K, 4]
    wanted: np.ndarray  # [K] their IoU with the target, or the density of the target's box
    sampling: np.ndarray | None = None  # [K] the density that they were drawn from


@dataclass(frozen=True)
class IoUProposals:
    """Boxes whose centre and size are shifted by normal numbers, as shares of the square root of the target's area."""

    number: int  # K
    deviations: tuple[float, ...]  # each box has one of them
    least: float  # IoU

    def draw(self, rng: np.random.Generator, box: np.ndarray) -> Proposals:
        """Boxes around a box [4]. Those whose IoU is still too low after 100 draws are the box itself."""
        middle, side = xywh_to_cxcywh(box), float(np.sqrt(box[2:].prod()))
        spread = rng.choice(self.deviations, self.number) * side
        found, overlap = np.tile(box, (self.number, 1)), np.ones(self.number)
        open_ = np.ones(self.number, bool)
        for _ in range(_TRIES):
            moved = middle + spread[open_, None] * rng.standard_normal((int(open_.sum()), 4))
            moved[:, 2:] = np.maximum(moved[:, 2:], _LEAST_SIDE)
            tried = cxcywh_to_xywh(moved)
            iou = overlaps(tried, box)
            places = np.flatnonzero(open_)[iou >= self.least]
            found[places], overlap[places] = tried[iou >= self.least], iou[iou >= self.least]
            open_[places] = False
            if not open_.any():
                break
            spread *= _SHRINK
        return Proposals(found, overlap)


@dataclass(frozen=True)
class DensityProposals:
    """Samples of a mixture of normal distributions around the target, in the centre over the target's size and the
    logarithm of the size; the wanted density is one such distribution."""

    number: int  # K
    mixture: tuple[tuple[float, float], ...]  # deviations of centre and size of each component
    truth: tuple[float, float]  # of the wanted density

    def draw(self, rng: np.random.Generator, box: np.ndarray) -> Proposals:
        """Boxes around a box [4]."""
        deviations = np.array([_by_coordinate(one) for one in self.mixture])
        offsets = deviations[rng.integers(len(deviations), size=self.number)] * rng.standard_normal((self.number, 4))
        middle = xywh_to_cxcywh(box)
        boxes = np.concatenate([middle[:2] + offsets[:, :2] * box[2:], box[2:] * np.exp(offsets[:, 2:])], axis=1)
        sampling = np.mean([normal_density(offsets, one) for one in deviations], axis=0)
        return Proposals(cxcywh_to_xywh(boxes), normal_density(offsets, _by_coordinate(self.truth)), sampling)


def read_proposals(cfg: EasyDict) -> IoUProposals | DensityProposals:
    """The kind of DATA.PROPOSALS. Raises InputError for deviations that are not of pairs."""
    rules = cfg.DATA.PROPOSALS
    if rules.TYPE == "iou":
        return IoUProposals(rules.NUMBER, tuple(rules.DEVIATIONS), rules.LEAST_IOU)
    values = list(rules.DEVIATIONS)
    if len(values) % 2:
        raise InputError(
            f"DATA.PROPOSALS.DEVIATIONS: {values}: density needs two for each component, of centre and of size"
        )
    mixture = tuple(zip(values[::2], values[1::2], strict=True))
    return DensityProposals(rules.NUMBER, mixture, (rules.TRUTH[0], rules.TRUTH[1]))


def overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The IoU of boxes with a box: [K, 4], [4] xywh -> [K]"""
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2:])
    common = np.maximum(high - low, 0).prod(1)
    return common / (boxes[:, 2:].prod(1) + box[2:].prod() - common)


def normal_density(offsets: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """The density of a normal distribution around 0: [K, 4], [4] -> [K]"""
    exponent = -0.5 * np.square(offsets / deviations).sum(1)
    return np.exp(exponent) / ((2 * np.pi) ** 2 * deviations.prod())


def _by_coordinate(pair: Many[float]) -> np.ndarray:
    """Deviations of centre and size -> [4]"""
    return np.repeat(np.asarray(pair, np.float64), 2)

"""From a score map to a place and what to think of it (ATOM, CVPR 2019, section 3.3; DiMP uses the same rules).

B targets, n' cells on each side of a score map.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

#: What `Localized.flag` counts.
FLAGS = ("normal", "hard_negative", "uncertain", "not_found")
NORMAL, HARD_NEGATIVE, UNCERTAIN, NOT_FOUND = range(len(FLAGS))


class Localized(NamedTuple):
    """Where targets are."""

    place: Tensor  # [B, 2] x y in crop units; meaningless where the target was not found
    score: Tensor  # [B] the highest one
    flag: Tensor  # [B] int64: hard_negative, something else looks like the target; uncertain, it may be the target


@dataclass(frozen=True)
class LocalizationRules:
    """Thresholds. A peak far from the last place, beside one near it, is not the target."""

    found: float  # below this score the target is not found
    distractor: float  # share of the first peak from which a second one may be the target
    hard: float  # share of the first peak from which a second one is learned from at once
    neighbourhood: float  # multiple of the target's size, outside of which the second peak is searched
    displacement: float  # share of half the score map that is near

    def __call__(self, scores: Tensor, size: Tensor, last: Tensor, cells: int) -> Localized:
        """scores [B, n', n']; size [B, 2] width and height of the targets, last [B, 2] x y of their last places, in
        crop units; cells: of the crop along one side, whose middle is at cell `cells / 2` -> Localized"""
        count = scores.shape[-1]
        first, cell = _peak(scores)
        reach = self.neighbourhood * cells * size.flip(-1) / 2
        axis = torch.arange(count, device=scores.device)
        low, high = (cell - reach).round(), (cell + reach).round()
        near = [(axis >= low[:, k, None]) & (axis <= high[:, k, None]) for k in (0, 1)]
        second, other = _peak(scores.masked_fill(near[0][:, :, None] & near[1][:, None, :], 0))
        origin = (last.flip(-1) - 0.5) * cells + cells / 2
        far_first, far_second = ((peak - origin).norm(dim=1) > self.displacement * count / 2 for peak in (cell, other))
        rival = second > self.distractor * first
        swap = rival & far_first & ~far_second
        hard = (second > self.hard * first) & (second > self.found)
        flag = torch.where(hard, HARD_NEGATIVE, NORMAL)
        flag = torch.where(rival, torch.where(far_first != far_second, HARD_NEGATIVE, UNCERTAIN), flag)
        flag = torch.where(first < self.found, NOT_FOUND, flag)
        chosen = torch.where((swap & (flag != NOT_FOUND))[:, None], other, cell)
        return Localized((chosen.flip(-1) - cells / 2) / cells + 0.5, first, flag)


def _peak(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The highest score and its cell: [B, n', n'] -> [B] and y x [B, 2]"""
    best, index = scores.flatten(1).max(1)
    count = scores.shape[-1]
    return best, torch.stack([index.div(count, rounding_mode="floor"), index % count], 1).to(scores.dtype)

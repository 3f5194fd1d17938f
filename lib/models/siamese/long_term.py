"""Local to global: a lost target is searched in a growing region (DaSiamRPN, ECCV 2018, section 3.4).

The crop gets more pixels while its scale stays that of the last box, so the target keeps its size in the crop.
"""

from dataclasses import dataclass
from typing import Any

from easydict import EasyDict

from ...core.errors import InputError
from ...core.view import EXEMPLAR


@dataclass(frozen=True)
class LongTerm:
    """When a target counts as lost or found, and how large its search region becomes. Sizes are pixels of the crop."""

    low: float  # a score below it: the target is lost
    high: float  # a score above it: the lost target is found
    step: int  # growth of the region per frame
    largest: int  # size at which the region stops growing
    least: int  # a region of at least this size belongs to a lost target
    stride: int  # sizes are 127 plus a multiple of it
    hold: str = "lost"  # below `low` the box stays where it was while the target is lost; "always": in every frame

    def next_size(self, size: int, usual: int, score: float, cover: float) -> int:
        """The size of the next search region.

        size: of the last region; usual: of the region while the target is not lost; score: of the last frame; cover:
        of a region that covers the frame wherever the target was.
        """
        lost = size > usual
        if score > self.high if lost else score >= self.low:
            return usual
        if lost and size >= cover:
            return size
        grown = min(size + self.step, self.largest, max(cover, self.least))
        return max(self._round(grown), size, self._round(self.least))

    def is_lost(self, size: int) -> bool:
        """Whether a search region of this size belongs to a lost target."""
        return size >= self.least

    def holds(self, size: int) -> bool:
        """Whether in a search region of this size the box stays where it was if the score is below `low`."""
        return self.hold == "always" or self.is_lost(size)

    def _round(self, size: float) -> int:
        return EXEMPLAR + self.stride * round((size - EXEMPLAR) / self.stride)


def build_long_term(network: Any, test: EasyDict, hold: str = "lost") -> LongTerm:
    """The rules of TEST.LONG_TERM for a `ProposalNetwork`. Raises InputError where its sizes contradict each other."""
    rules, stride = test.LONG_TERM, network.stride
    network.check_size("TEST.LONG_TERM.MAX_SIZE", rules.MAX_SIZE)
    usual = max(test.SEARCH_SIZE, test.SMALL_TARGET_SIZE if test.SMALL_TARGET_SHARE else 0)
    if usual >= rules.MAX_SIZE:
        raise InputError(f"TEST.LONG_TERM.MAX_SIZE: {rules.MAX_SIZE} is not above the usual {usual}; raise it")
    if rules.LOW > rules.HIGH:
        raise InputError(f"TEST.LONG_TERM.HIGH: {rules.HIGH} is below LOW {rules.LOW}; raise it")
    return LongTerm(rules.LOW, rules.HIGH, rules.STEP, rules.MAX_SIZE, usual + stride, stride, hold)

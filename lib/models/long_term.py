"""Local to global: a lost target is looked for in a search region that grows (DaSiamRPN, ECCV 2018, section 3.4).

The region is enlarged as the network sees it, at the scale of the last box, so that the target keeps its size.
"""

from dataclasses import dataclass

from ..core.view import EXEMPLAR


@dataclass(frozen=True)
class LongTerm:
    """When a target is lost and found, and how far it is looked for. Sizes are pixels as the network sees them."""

    low: float  # a score below it loses the target
    high: float  # a score above it finds it
    step: int  # the region grows by this in each frame
    largest: int
    least: int  # a region of at least this size is searched only for lost targets
    stride: int  # sizes are 127 and a multiple of it

    def next_size(self, size: int, usual: int, score: float, cover: float) -> int:
        """The next search region.

        size: of the last one; usual: of the target while it is not lost; score: of the last frame; cover: a region
        that is large enough for any place in the frame.
        """
        lost = size > usual
        if score > self.high if lost else score >= self.low:
            return usual
        if lost and size >= cover:
            return size
        grown = min(size + self.step, self.largest, max(cover, self.least))
        return max(self._round(grown), size, self._round(self.least))

    def is_lost(self, size: int) -> bool:
        """Whether a search region of that size looks for a lost target."""
        return size >= self.least

    def _round(self, size: float) -> int:
        return EXEMPLAR + self.stride * round((size - EXEMPLAR) / self.stride)

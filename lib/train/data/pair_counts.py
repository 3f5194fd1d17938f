"""Numbers of pairs in an epoch, by kind and by category."""

import logging
from collections import Counter
from collections.abc import Iterable

from ...core.distributed import world_size
from ...models.base import PAIR_KINDS

log = logging.getLogger(__name__)

_SHOWN = 60  # categories in a line of the log, the most frequent first


class PairCounts:
    """Counts of the pairs that this process has read."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()

    def add(self, kinds: Iterable[str], categories: Iterable[str]) -> None:
        """Count a batch. Pairs with an empty kind are not counted."""
        for kind, category in zip(kinds, categories, strict=True):
            if kind:
                self.kinds[kind] += 1
                self.categories[category or "unknown"] += 1

    def write(self) -> None:
        """Log one line by kind and one by category; none where nothing was counted."""
        if not self.kinds:
            return
        what = "pairs" if world_size() == 1 else "pairs of this process"
        kinds = ", ".join(f"{name} {self.kinds[name]}" for name in PAIR_KINDS)
        shown = ", ".join(f"{name} {count}" for name, count in self.categories.most_common(_SHOWN))
        more = len(self.categories) - _SHOWN
        log.info("%s by kind: %s", what, kinds)
        log.info("%s by category: %s%s", what, shown, f", {more} more categories" if more > 0 else "")

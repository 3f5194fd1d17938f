"""What an epoch really consisted of: pairs by kind and by category."""

import logging
from collections import Counter
from collections.abc import Iterable

from torch import Tensor

from ...core.distributed import world_size
from ...models.base import PAIR_KINDS

log = logging.getLogger(__name__)

_SHOWN = 60  # categories in a line of the log, the commonest first


class Tally:
    """Counts of this process."""

    def __init__(self) -> None:
        self.kinds: Counter[int] = Counter()
        self.categories: Counter[str] = Counter()

    def add(self, kinds: Tensor | None, categories: Iterable[str]) -> None:
        """Count a batch; kinds: [B], None where nothing is known."""
        if kinds is not None:
            self.kinds.update(kinds.tolist())
            self.categories.update(category or "unknown" for category in categories)

    def report(self) -> None:
        """A line of the log on each; none where nothing was counted."""
        if not self.kinds:
            return
        whose = "pairs" if world_size() == 1 else "pairs of this process"
        kinds = ", ".join(f"{name} {self.kinds[number]}" for number, name in enumerate(PAIR_KINDS))
        shown = ", ".join(f"{name} {count}" for name, count in self.categories.most_common(_SHOWN))
        more = len(self.categories) - _SHOWN
        log.info("%s by kind: %s", whose, kinds)
        log.info("%s by category: %s%s", whose, shown, f", {more} more categories" if more > 0 else "")

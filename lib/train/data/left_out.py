"""Training without the sequences that another data set has too, such as those of a benchmark that a set grew into."""

import logging
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many

from ...core.errors import InputError
from ...core.words import counted
from ...datasets.sequence import Collection, Sequence

log = logging.getLogger(__name__)


class Kept(Collection):
    """Some of the tracks of a collection."""

    def __init__(self, whole: Collection, places: Many[int]):
        """places: of the tracks in the whole collection"""
        self.whole, self.places, self.still = whole, places, whole.still

    def __len__(self) -> int:
        return len(self.places)

    @property
    def categories(self) -> list[str]:
        known = self.whole.categories
        return [known[place] for place in self.places]

    def make(self, index: int) -> Sequence:
        return self.whole.make(self.places[index])


def leave_out(
    datasets: Many[Many[Sequence]], titles: Many[str], others: Mapping[str, Iterable[Sequence]]
) -> list[Many[Sequence]]:
    """The data sets without the sequences whose name, or whose video's name, is one of the `others`'; what was left out
    is logged. titles: names of the data sets; others: by the name of their set.

    Raises InputError where another set has no name in common with any of the data sets: the names would be spelt in two
    ways, and its sequences be trained with.
    """
    kept = list(datasets)
    for other, sequences in others.items():
        names, found = {sequence.name for sequence in sequences}, 0
        for number, dataset in enumerate(kept):
            stay = [place for place, one in enumerate(dataset) if not names & {one.name, one.video}]
            if (left := len(dataset) - len(stay)) == 0:
                continue
            found += left
            log.info("%s: %s left out, which %s has too", titles[number], counted(left, "sequence"), other)
            if isinstance(dataset, Collection):
                kept[number] = Kept(dataset, stay)
            else:
                kept[number] = [dataset[place] for place in stay]
        if not found:
            raise InputError(
                f"DATA.TRAIN.WITHOUT: {other}: none of its {len(names)} names is among the training sequences; "
                "remove it, or check the names of the sets"
            )
    return kept

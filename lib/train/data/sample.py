"""What a loader hands to the trainer, whatever a family learns from: samples, joined to batches."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, default_collate

from ...core.errors import InputError
from .pair_counts import PairCounts

_RAISED = re.compile(rf"^{__package__.partition('.')[0]}\.[\w.]+: ")  # the class of an error, in front of its message


class Sample(NamedTuple):
    """One training sample, and what the log says about it; joined by `collate`, those of a batch."""

    batch: Any  # a lib.models.training.TrainBatch; of one sample: without the leading dimension; pixels as uint8
    unreadable: Any  # how many unreadable samples were skipped to find it; of a batch: [B] int64
    kind: Any = ""  # where the log counts kinds of pairs: which it is; of a batch: a list
    category: Any = ""  # likewise of its target


def collate(samples: Sequence[Sample]) -> Sample:
    """Samples as one. A field of their batch that is None stays None."""
    parts = zip(*(sample.batch for sample in samples), strict=True)
    joined = [None if part[0] is None else default_collate(list(part)) for part in parts]
    return Sample(
        type(samples[0].batch)._make(joined),
        default_collate([sample.unreadable for sample in samples]),
        [sample.kind for sample in samples],
        [sample.category for sample in samples],
    )


def read_batches(loader: DataLoader[Sample]) -> Iterator[Sample]:
    """The loader's batches; at the end the log says how many pairs there were of each kind and category.

    Raises InputError with the one line that a loader process raised.
    """
    tally = PairCounts()
    try:
        for sample in loader:
            tally.add(sample.kind, sample.category)
            yield sample
    except InputError as error:
        line = str(error).strip().splitlines()[-1]  # the last of the traceback that torch puts before it
        raise InputError(_RAISED.sub("", line)) from None
    finally:
        tally.write()

"""Samples, joined to batches: what a loader gives to the trainer, for every kind of training data."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, default_collate

from ...core.errors import InputError
from .pair_counts import PairCounts

#: What torch puts before the message of a loader process: a traceback, whose lines an InputError writes as one.
_RAISED = re.compile(rf"^.*\\n{__package__.partition('.')[0]}\.[\w.]+: ")


class Sample(NamedTuple):
    """One training sample with what is logged about it; or, joined by `collate`, the samples of a batch."""

    batch: Any  # a lib.models.training.TrainBatch, pixels as uint8; of one sample: without the leading dimension
    unreadable: Any  # number of unreadable samples that were skipped before it; of a batch: [B] int64
    kind: Any = ""  # name of the kind of pair, where the log counts them; of a batch: a list
    category: Any = ""  # category of the target, likewise


def collate(samples: Sequence[Sample]) -> Sample:
    """Join samples. A field of their batch that is None stays None."""
    parts = zip(*(sample.batch for sample in samples), strict=True)
    joined = [None if part[0] is None else default_collate(list(part)) for part in parts]
    return Sample(
        type(samples[0].batch)._make(joined),
        default_collate([sample.unreadable for sample in samples]),
        [sample.kind for sample in samples],
        [sample.category for sample in samples],
    )


def read_batches(loader: DataLoader[Sample]) -> Iterator[Sample]:
    """The loader's batches. At the end the numbers of pairs of each kind and category are logged.

    Raises InputError with the message of the loader process that raised it.
    """
    counts = PairCounts()
    try:
        for sample in loader:
            counts.add(sample.kind, sample.category)
            yield sample
    except InputError as error:
        raise InputError(_RAISED.sub("", str(error)).removesuffix("\\n")) from None
    finally:
        counts.write()

"""The sequences that a command names."""

import logging
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many

from ...core.errors import InputError
from ...core.frame import INFRARED, NO_INFRARED, Streams
from ...core.registry import choose
from ...datasets.named import open_dataset
from ...datasets.sequence import Sequence

log = logging.getLogger(__name__)


def named_sequences(
    dataset: str,
    data_dir: str | None,
    wanted: str | None,
    local: Callable[[], Mapping[str, str]],
    streams: Streams = Streams(1),  # noqa: B008  (immutable)
) -> list[Sequence]:
    """The sequences that a tracking command names, or the one `wanted`; local: reads the folders of local.py;
    streams: what the tracker reads, for one warning where sequences have less.

    Raises InputError as the readers do.
    """
    sequences = open_dataset(dataset, data_dir, local)
    named = list(sequences) if wanted is None else [choose_sequence(sequences, wanted)]
    lacking = [sequence.name for sequence in named if INFRARED not in sequence.frames.modalities]
    if lacking and streams.modalities > 1:
        log.warning("%s, in %d of %d sequences: %s", lacking[0], len(lacking), len(named), NO_INFRARED[streams.missing])
    return named


def choose_sequence(sequences: Many[Sequence], wanted: str) -> Sequence:
    """The sequence of that name or, where none has it, of that index from 0.

    Raises InputError with the nearest name, or with the range of indices.
    """
    names = [sequence.name for sequence in sequences]
    if wanted not in names and wanted.isdigit():
        if int(wanted) >= len(names):
            raise InputError(f"--sequence {wanted}: indices go from 0 to {len(names) - 1}")
        return sequences[int(wanted)]
    return sequences[names.index(wanted if wanted in names else choose("sequence", wanted, names))]

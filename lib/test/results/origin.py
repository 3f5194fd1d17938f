"""The data that results belong to: `data.json` beside them has one entry for each sequence, since folders of two data
sets may use the same names."""

import json
import logging
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.atomic import write_atomically
from ...core.bounded import parse_json
from ...core.errors import InputError
from ...core.words import counted
from ...datasets.sequence import Sequence

log = logging.getLogger(__name__)

RECORD = "data.json"
LARGEST = 64 << 20  # bytes of a record that is read
CLOSE = 1.0  # pixels: first boxes are written as whole ones by the OSTrack code base


class Origin(NamedTuple):
    """What a sequence was when it was tracked."""

    data: str  # name of the set, or path of the folder; "": not known
    frames: int
    first_box: tuple[float, ...]  # xywh pixels; empty where there is none
    images: str  # `Frames.fingerprint`

    def __str__(self) -> str:
        return f"{self.data or 'a folder'}: {counted(self.frames, 'frame')}, first box {shown(self.first_box)}"


def origin_of(sequence: Sequence, data: str) -> Origin:
    """The origin of what will be tracked; data: as `data_name` says."""
    first = tuple(map(float, sequence.boxes[0])) if len(sequence.boxes) else ()
    return Origin(data, len(sequence), first, sequence.frames.fingerprint())


def contradiction(known: Origin, now: Origin) -> str:
    """What shows that two origins are different data; "" for the same data, which may have moved: lengths, first boxes
    and images decide, and the name where images cannot be read."""
    alike = known.frames == now.frames and np.array_equal(known.first_box, now.first_box)
    read = known.images and now.images
    if alike and (known.images == now.images if read else known.data == now.data):
        return ""
    return f"was tracked on {known}; here is {now}{', other images' if alike and read else ''}"


def read_origins(folder: str | Path) -> dict[str, Origin]:
    """Sequence name -> origin of the results in a folder; empty where an older version or another code base wrote them.

    Raises InputError for a damaged record.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError
        content = parse_json(path.read_text(encoding="utf-8"))
        return {name: _parse(entry) for name, entry in content.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        remedy = "remove it to go on; results are then checked by their first boxes alone"
        raise InputError(f"{path}: is not a record of the data of results; {remedy}") from None


def add_origins(folder: str | Path, origins: Mapping[str, Origin]) -> None:
    """Add origins to the record of a folder, before their results are written. Raises InputError as `read_origins`."""
    known = read_origins(folder)
    if {name: known.get(name) for name in origins} == dict(origins):
        return
    with write_atomically(Path(folder) / RECORD) as temporary:
        entries = {name: origin._asdict() for name, origin in (known | dict(origins)).items()}
        lines = (f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(entries.items()))
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def check_scored(folder: str | Path, data: str, starts: Mapping[str, Many[np.ndarray]]) -> None:
    """Check the record of a folder before its results are scored. data: what they are scored against ("": not known);
    starts: sequence name -> first boxes of its streams.

    Warns where the results were tracked on a set of another name with the same first boxes. Raises InputError for other
    first boxes.
    """
    origins = read_origins(folder)
    known = {name: origin for name, origin in origins.items() if starts.get(name) is not None and origin.first_box}
    for name, origin in known.items():
        if not any(close(origin.first_box, box) for box in starts[name]):
            raise InputError(
                f"{folder}: {name} was tracked on {origin}; {data or 'this annotation'} has first box "
                f"{shown(starts[name][0])}: score it against its own data, or remove {RECORD} there to score it all "
                "the same"
            )
    other = [name for name, origin in known.items() if data and origin.data and origin.data != data]
    if other:
        message = "%s: %d of %d results were tracked on %s and are scored against %s (first boxes agree)"
        log.warning(message, folder, len(other), len(starts), known[other[0]].data, data)


def close(one: Iterable[float], other: Iterable[float]) -> bool:
    """Whether two boxes differ by less than a pixel in every number."""
    left, right = np.array([*one], float), np.array([*other], float)
    return left.shape == right.shape and bool((np.abs(left - right) < CLOSE).all())


def shown(box: Iterable[float]) -> str:
    """A box in a message.

    >>> shown((10.0, 20.5, 30.0, 40.0))
    '10,20.5,30,40'
    """
    return ",".join(f"{value:g}" for value in box) or "none"


def _parse(entry: Mapping[str, object]) -> Origin:
    data, frames, box, images = (entry[key] for key in Origin._fields)
    if not (isinstance(data, str) and isinstance(frames, int) and isinstance(box, list) and isinstance(images, str)):
        raise TypeError
    return Origin(data, frames, tuple(map(float, box)), images)

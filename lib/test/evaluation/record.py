"""The records beside the results of a run: everything that decides the boxes, so that different runs are never mixed.

`config.yaml`: the resolved configuration, weights and mode; `refiner.yaml`: the configuration of a refiner.
`data.json`: the data (lib/test/results/origin.py).
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from easydict import EasyDict

from ...core.atomic import check_no_folder, make_folder, write_atomically
from ...core.config import flatten, save_config
from ...core.errors import InputError
from ...core.schema import read_yaml
from ...datasets.sequence import Sequence as Video
from ..results.dialect import read_result
from ..results.files import check_names, confidence_path, finished, holds_nothing, result_paths
from ..results.origin import RECORD as ORIGINS
from ..results.origin import Origin, close, contradiction, shown
from ..tracker.forward_pass import EXACT, Mode

log = logging.getLogger(__name__)

RECORD, REFINER = "config.yaml", "refiner.yaml"
_FIRST_LINE = "# checkpoint: "
_DIGITS = 16  # hexadecimal, of a digest
WORTH_CACHING = 1 << 20  # bytes; the digests of smaller files are not cached


def record_run(
    folder: Path,
    cfg: EasyDict,
    weights: Sequence[str | Path],
    *,
    integer_boxes: bool = False,
    mode: Mode = EXACT,
    refiner: tuple[str, EasyDict] | None = None,
    refined: str = "",
    masks: str = "",
) -> None:
    """Save the resolved configuration beside the results, and that of a refiner; lines above it name the weights, the
    mode and the refiner.

    weights: the tracker's weight files, and its refiner's; empty for a tracker without weights. refiner: its name and
    configuration. refined: what tells the results apart that were refined, where results are. masks: how they are
    written, where they are.
    Raises InputError when the folder holds results of another configuration or checkpoint, results without a record, or
    a file of the record's name that is none: a run may only continue an identical run.
    """
    path = folder / RECORD
    continued = next(folder.glob("*.txt"), None) is not None
    if not continued and path.is_file() and not path.read_bytes().startswith(_FIRST_LINE.encode()):
        raise InputError(
            f"{path}: is no record of a run, and this run would replace it; choose another folder (--results_dir, "
            "--out) or move the file away"
        )
    files = " and ".join(f"{Path(file).name}, sha256 {digest(file)}" for file in weights)
    head = f"{_FIRST_LINE}{files or 'none'}\n"
    head += f"# boxes: {'integers' if integer_boxes else 'floats'}\n"
    head += "".join(f"# {key}: {value}\n" for key, value in _computed(mode, refiner, refined, masks).items())
    with write_atomically(path) as temporary:
        save_config(cfg, temporary)
        temporary.write_text(head + temporary.read_text(encoding="utf-8"), encoding="utf-8")
        if continued:
            _check_agreement(path, temporary)
    if refiner is not None:
        with write_atomically(folder / REFINER) as temporary:
            save_config(refiner[1], temporary)


@contextmanager
def undo_without_results(folder: Path, *more: str, results: str = "*.txt") -> Iterator[None]:
    """Make a folder of results. Where the block, which has its lock, fails before one is there, remove the records that
    it wrote and, where it is empty then, the folder. more: names of further records. results: which files these are."""
    with make_folder(folder):
        absent = absent_records(folder, *more)
        try:
            yield
        except BaseException:
            remove_idle_records(folder, absent, results)
            raise


def absent_records(folder: Path, *more: str) -> list[Path]:
    """The records that a folder does not have. more: names of further ones."""
    return [path for name in (RECORD, REFINER, ORIGINS, *more) if not (path := folder / name).exists()]


def remove_idle_records(folder: Path, written: Sequence[Path], results: str = "*.txt") -> None:
    """Remove the records that a run wrote into a folder that has no results; results: which files these are."""
    if not next(folder.glob(results), None):
        for path in written:
            path.unlink(missing_ok=True)


def find_finished(
    folder: Path, sequences: Sequence[Video], origins: Mapping[str, Origin], known: Mapping[str, Origin]
) -> set[str]:
    """The names of the sequences that are finished in a folder. origins: of what this run would track; known: of the
    results in the folder.

    Raises InputError where results in the folder belong to other data or, without a record of it, begin with another
    box, for two sequences that would write the same file, and for a folder that has the name of a result.
    """
    check_names([*known, *origins], folder)
    done, unknown = set(), 0
    for sequence in sequences:
        now, path = origins[sequence.name], result_paths(folder, sequence.name)[0]
        check_no_folder(*result_paths(folder, sequence.name), confidence_path(folder, sequence.name))
        if not path.is_file() or holds_nothing(path):
            continue
        _check_data(path, known.get(sequence.name), now)
        if finished(folder, sequence):
            done.add(sequence.name)
            unknown += sequence.name not in known
    if unknown:
        log.info("%s: %d results have no record of their data; their first boxes are those given here", folder, unknown)
    return done


def _check_data(path: Path, known: Origin | None, now: Origin) -> None:
    """Raise InputError for a result of other data than `now`; known: its record, if it has one."""
    if known is not None:
        other = contradiction(known, now)
    else:
        rows = read_result(path)
        fits = len(rows) <= now.frames and (not now.first_box or close(rows[0], now.first_box))
        other = "" if fits else f"holds {len(rows)} boxes, first {shown(rows[0])}; here is {now}"
    if other:
        remedy = "choose another folder (--results_dir, --out) or remove this one"
        raise InputError(f"{path}: {other}; these are other data: {remedy}")


def _check_agreement(old: Path, new: Path) -> None:
    """Raises InputError where two records differ in a value that decides boxes, and for results without a whole record.
    Keys that only the new one has are named in a line: another version of the toolbox wrote the old one."""
    before, after = _decisive(old) if old.is_file() else {}, _decisive(new)
    if "checkpoint" not in before:
        raise InputError(
            f"{old.parent}: holds results, but no whole {RECORD} that says what made them, so this run cannot continue "
            "them; choose another folder (--results_dir, --out) or move them away"
        )
    for key in before.keys() & after.keys():
        if before[key] != after[key]:
            raise InputError(
                f"{old}: the results here were made with {key}: {before[key]}, this run has {after[key]}; "
                "choose another folder (--results_dir, --out) or remove this one"
            )
    if new_keys := sorted(after.keys() - before.keys()):
        known = ", ".join(f"{key}={after[key]}" for key in new_keys)
        log.warning("%s: another version of the toolbox wrote the results here; it did not know %s", old, known)


def _decisive(record: Path) -> dict[str, Any]:
    """The values of a record that decide boxes: weights, network, normalisation, crops; not the training."""
    leaves = _decisive_keys(read_yaml(record))  # raises InputError for what is no text
    lines = record.read_text(encoding="utf-8").splitlines()
    head = _computed(EXACT) | dict(line[2:].partition(": ")[::2] for line in lines if line.startswith("# "))
    return head | leaves


def _decisive_keys(cfg: Mapping[str, Any]) -> dict[str, Any]:
    parts = ("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD")
    return {key: leaf for key, leaf in flatten(cfg).items() if key.startswith(parts) and key != "MODEL.PRETRAIN_FILE"}


def _computed(
    mode: Mode, refiner: tuple[str, EasyDict] | None = None, refined: str = "", masks: str = ""
) -> dict[str, str]:
    """What decides boxes and masks besides the configuration. Records without it were made with the defaults."""
    settings = "none"
    if refiner is not None:
        keys = json.dumps(_decisive_keys(refiner[1]), sort_keys=True, default=str)
        settings = f"{refiner[0]}, settings sha256 {hashlib.sha256(keys.encode()).hexdigest()[:_DIGITS]}"
    return {
        "precision": mode.precision,
        "crops": mode.crops,
        "compiled": "yes" if mode.compiled else "no",
        "backend": mode.backend,
        "refiner": settings,
        "refined": refined or "none",
        "masks": masks or "none",
    }


def digest(path: str | Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256. A large file that did not change is read only once. Raises
    InputError when it does not exist."""
    if not Path(path).is_file():
        raise InputError(f"{path}: checkpoint does not exist; give one with --checkpoint")
    state = os.stat(path)
    if state.st_size < WORTH_CACHING:
        return _digest(str(path))
    return _cached_digest(str(path), state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=8)
def _cached_digest(path: str, *state: int) -> str:
    return _digest(path)


def _digest(path: str) -> str:
    summed = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            summed.update(block)
    return summed.hexdigest()[:_DIGITS]

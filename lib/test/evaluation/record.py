"""The record of a run beside its results: what decides their numbers, so that two runs are never mixed."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from easydict import EasyDict

from ...core.atomic import write_atomically
from ...core.config import flatten, save_config
from ...core.errors import InputError
from ...core.schema import read_yaml
from ..tracker.forward_pass import EXACT, Mode

RECORD = "config.yaml"
WORTH = 1 << 20  # bytes; smaller files are read anew


def record_run(
    folder: Path, cfg: EasyDict, weights: Sequence[str | Path], *, integer_boxes: bool = False, mode: Mode = EXACT
) -> None:
    """Save the resolved configuration beside the results, headed by what else decides their numbers.

    weights: the files that the tracker reads them from; none for a tracker without any.

    Raises InputError when the folder holds results of another configuration or checkpoint: a run only completes what
    an equal run began.
    """
    path = folder / RECORD
    files = " and ".join(f"{Path(file).name}, sha256 {digest(file)}" for file in weights)
    head = f"# checkpoint: {files or 'none'}\n"
    head += f"# boxes: {'integers' if integer_boxes else 'floats'}\n"
    head += "".join(f"# {key}: {value}\n" for key, value in _computed(mode).items())
    with write_atomically(path) as temporary:
        save_config(cfg, temporary)
        temporary.write_text(head + temporary.read_text(encoding="utf-8"), encoding="utf-8")
        if path.is_file() and next(folder.glob("*_time.txt"), None):
            _check_agreement(path, temporary)


def _check_agreement(old: Path, new: Path) -> None:
    """Raises InputError where two records differ in what decides boxes. Keys that only one knows do not count: they
    came with another version of the toolbox."""
    before, after = _decisive(old), _decisive(new)
    for key in before.keys() & after.keys():
        if before[key] != after[key]:
            raise InputError(
                f"{old}: the results here were made with {key}: {before[key]}, this run has {after[key]}; "
                "choose another folder (--results_dir, --out) or remove this one"
            )


def _decisive(record: Path) -> dict[str, Any]:
    """What decides boxes: weights, network, normalisation, crops; not how the network was trained."""
    lines = record.read_text(encoding="utf-8").splitlines()
    head = _computed(EXACT) | dict(line[2:].partition(": ")[::2] for line in lines if line.startswith("# "))
    leaves = flatten(read_yaml(record))
    parts = ("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD")
    return head | {key: leaf for key, leaf in leaves.items() if key.startswith(parts) and key != "MODEL.PRETRAIN_FILE"}


def _computed(mode: Mode) -> dict[str, str]:
    """How boxes are computed, where that decides them; records that do not say have the default."""
    return {"precision": mode.precision, "crops": mode.crops, "compiled": "yes" if mode.compiled else "no"}


def digest(path: str | Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256; a large file that did not change is read once. Raises
    InputError when it is not there."""
    if not Path(path).is_file():
        raise InputError(f"{path}: checkpoint does not exist; give one with --checkpoint")
    state = os.stat(path)
    if state.st_size < WORTH:
        return _digest(str(path))
    return _remembered_digest(str(path), state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=8)
def _remembered_digest(path: str, *state: int) -> str:
    return _digest(path)


def _digest(path: str) -> str:
    summed = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            summed.update(block)
    return summed.hexdigest()[:16]

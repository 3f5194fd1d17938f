"""What a run starts from: a tracker built from a configuration and a checkpoint, sequences, a record of both."""

import hashlib
import os
from collections.abc import Callable
from collections.abc import Sequence as Ordered
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from easydict import EasyDict

from ...core.atomic import write_atomically
from ...core.checkpoint import load_weights
from ...core.config import save_config
from ...core.errors import InputError
from ...core.registry import choose
from ...core.schema import read_yaml
from ...datasets import DATASETS, load_dataset
from ...datasets.readers.folder import read_folder
from ...datasets.sequence import Sequence
from ...models import build_method, build_model
from ...models.base import Network
from ...models.weights import load_state
from ..results.dialect import find_result, read_result
from ..tracker.crop_tracker import CropTracker
from ..tracker.forward_pass import EXACT, Mode
from ..tracker.replay import Replay

RECORD = "config.yaml"
WORTH = 1 << 20  # bytes; smaller files are read anew


def load_tracker(cfg: EasyDict, checkpoint: str | Path, device: str, mode: Mode = EXACT) -> CropTracker:
    """The network of a resolved configuration with the weights of a file, ready to track on `device`.

    Raises InputError when the file is missing, unreadable or holds another network, and for a mode that the device
    does not have.
    """
    return CropTracker(build_method(load_network(cfg, checkpoint), cfg), device, mode)


def load_network(cfg: EasyDict, checkpoint: str | Path) -> Network:
    """The network of a resolved configuration with the weights of a file.

    Raises InputError when the file is missing, unreadable or holds another network.
    """
    network = build_model(cfg)
    load_state(network, load_weights(checkpoint), source=str(checkpoint))
    return network


def open_replay(folder: str | Path) -> Replay:
    """The results of a folder, whoever made them, as a tracker. Raises InputError where a sequence has none."""

    def read(name: str) -> np.ndarray:
        path = find_result(folder, name)
        if path is None:
            raise InputError(f"{name}: no result in {folder}; a file {name}.txt is expected there")
        return read_result(path)

    return Replay(read)


def config_name(config: str) -> str:
    """What results and checkpoints of a configuration are called, given its name or its file.

    >>> config_name("mine/small.yaml"), config_name("vitb_256_mae_32x4_ep300")
    ('small', 'vitb_256_mae_32x4_ep300')
    """
    return Path(config).stem if config.endswith((".yaml", ".yml")) else config


def named_sequences(dataset: str, data_dir: str | None, wanted: str | None, local: Callable[[], Any]) -> list[Sequence]:
    """The sequences that a tracking command names, or the one `wanted`; local: reads the folders of local.py.

    Raises InputError as the readers do.
    """
    if dataset.lower() == "folder":
        if not data_dir:
            raise InputError("--dataset_name folder needs --data_dir DIR, a folder of sequences")
        sequences: Ordered[Sequence] = read_folder(data_dir)
    elif data_dir:
        sequences = load_dataset(dataset, {DATASETS[choose("data set", dataset, DATASETS)].key: data_dir})
    else:
        sequences = load_dataset(dataset, local())
    return list(sequences) if wanted is None else [choose_sequence(sequences, wanted)]


def choose_sequence(sequences: Ordered[Sequence], wanted: str) -> Sequence:
    """The sequence of that name or, where none has it, of that index from 0.

    Raises InputError with the nearest name, or with the range of indices.
    """
    names = [sequence.name for sequence in sequences]
    if wanted not in names and wanted.isdigit():
        if int(wanted) >= len(names):
            raise InputError(f"--sequence {wanted}: indices go from 0 to {len(names) - 1}")
        return sequences[int(wanted)]
    return sequences[names.index(wanted if wanted in names else choose("sequence", wanted, names))]


def record_run(
    folder: Path, cfg: EasyDict, checkpoint: str | Path, *, integer_boxes: bool = False, mode: Mode = EXACT
) -> None:
    """Save the resolved configuration beside the results, headed by what else decides their numbers.

    Raises InputError when the folder holds results of another configuration or checkpoint: a run only completes what
    an equal run began.
    """
    path = folder / RECORD
    head = f"# checkpoint: {Path(checkpoint).name}, sha256 {digest(checkpoint)}\n"
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
    leaves = _leaves(read_yaml(record))
    parts = ("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD")
    return head | {key: leaf for key, leaf in leaves.items() if key.startswith(parts) and key != "MODEL.PRETRAIN_FILE"}


def _computed(mode: Mode) -> dict[str, str]:
    """How boxes are computed, where that decides them; records that do not say have the default."""
    return {"precision": mode.precision, "crops": mode.crops, "compiled": "yes" if mode.compiled else "no"}


def _leaves(tree: Any, name: str = "") -> dict[str, Any]:
    """A tree of mappings as one mapping of dotted names."""
    if not isinstance(tree, dict):
        return {name: tree}
    inner = [_leaves(value, f"{name}.{key}" if name else key) for key, value in tree.items()]
    return {key: leaf for leaves in inner for key, leaf in leaves.items()}


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

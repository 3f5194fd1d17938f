"""What a run starts from: a tracker built from a configuration and a checkpoint, sequences, a record of both."""

import hashlib
from collections.abc import Sequence as Ordered
from pathlib import Path

from easydict import EasyDict

from lib.core.atomic import write_atomically
from lib.core.checkpoint import load_state, load_weights
from lib.core.config import save_config
from lib.core.errors import InputError
from lib.core.registry import choose
from lib.datasets.sequence import Sequence
from lib.models import build_model
from lib.test.tracker import Tracker

RECORD = "config.yaml"


def load_tracker(cfg: EasyDict, checkpoint: str | Path, device: str) -> Tracker:
    """The network of a resolved configuration with the weights of a file, ready to track on `device`.

    Raises InputError when the file is missing, unreadable or holds another network.
    """
    model = build_model(cfg)
    load_state(model, load_weights(checkpoint), source=str(checkpoint))
    return Tracker(model, cfg, device)


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


def record_run(folder: Path, cfg: EasyDict, checkpoint: str | Path, *, integer_boxes: bool = False) -> None:
    """Save the resolved configuration beside the results, headed by what else decides their numbers.

    Raises InputError when the folder holds results of another configuration or checkpoint: a run only completes what
    an equal run began.
    """
    path = folder / RECORD
    head = f"# checkpoint: {Path(checkpoint).name}, sha256 {_digest(checkpoint)}\n"
    head += f"# boxes: {'integers' if integer_boxes else 'floats'}\n"
    with write_atomically(path) as temporary:
        save_config(cfg, temporary)
        text = head + temporary.read_text(encoding="utf-8")
        _check_record(path, text)
        temporary.write_text(text, encoding="utf-8")


def _check_record(path: Path, text: str) -> None:
    if not path.is_file() or next(path.parent.glob("*_time.txt"), None) is None:
        return
    old, new = path.read_text(encoding="utf-8").splitlines(), text.splitlines()
    if old != new:
        before = next((line for line in old if line not in new), "less")
        after = next((line for line in new if line not in old), "less")
        raise InputError(
            f"{path}: the results here were made with '{before.strip('# ')}', this run has '{after.strip('# ')}'; "
            "choose another --results_dir or remove the folder"
        )


def _digest(path: str | Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256. Raises InputError when it is not there."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: checkpoint does not exist; give one with --checkpoint") from None
    return digest.hexdigest()[:16]

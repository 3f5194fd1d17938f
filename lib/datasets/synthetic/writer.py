"""Synthetic sequences on disk, in LasHeR's layout."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ...core.atomic import scratch_folder, temporary_paths, write_atomically
from ...core.errors import InputError
from ..readers.lasher import ATTRIBUTES
from ..sequence import INFRARED, VISIBLE, Sequence

RECIPE = "recipe.txt"
NAMES = ((VISIBLE, "v"), (INFRARED, "i"))
JPEG_QUALITY = 95


def write_sequences(sequences: Iterable[Sequence], root: str | Path, *, recipe: str, split: str = "testing") -> None:
    """Write `<root>/<split>set/<sequence>/{visible,infrared}/`, the annotations, the flags and the list of names.

    A sequence folder gets its name only when it is complete. recipe: one line that identifies what is written; it is
    stored in the folder, so that an interrupted run continues with the missing sequences. Raises InputError when the
    folder holds anything else or another recipe; nothing is overwritten.
    """
    root, sequences = Path(root), list(sequences)
    _claim(root, recipe)
    folder = root / f"{split}set"
    for sequence in tqdm(sequences, desc=str(folder), unit="sequence"):
        if not (folder / sequence.name).exists():
            _write_sequence(sequence, root, folder / sequence.name)
    with write_atomically(root / f"{split}setList.txt") as temporary:
        temporary.write_text("".join(f"{sequence.name}\n" for sequence in sequences))


def _claim(root: Path, recipe: str) -> None:
    """Mark a new folder with the recipe, or check that it has this recipe."""
    held = root / RECIPE
    if not held.is_file():
        if root.exists() and not (root.is_dir() and set(root.iterdir()) <= set(temporary_paths(held))):
            raise InputError(f"{root}: is not empty and was not made by this command; choose another folder for --out")
        with write_atomically(held) as temporary:
            temporary.write_text(f"{recipe}\n")
    if held.read_text() != f"{recipe}\n":
        raise InputError(f"{root}: holds other sequences ({held.read_text().strip()}); choose another folder for --out")


def _write_sequence(sequence: Sequence, root: Path, target: Path) -> None:
    """Write the flags first and rename the folder last, so that a folder with its final name is complete. Another run
    with the same recipe may do the same at the same time."""
    with scratch_folder(root / sequence.name) as partial:
        for modality, _ in NAMES:
            (partial / modality).mkdir()
        for index in range(len(sequence)):
            for image, (modality, letter) in zip(sequence.frames[index], NAMES, strict=True):
                _write_image(image, partial / modality / f"{letter}{index:06d}.jpg")
        rows = "".join(",".join(f"{value:.2f}" if value else "0" for value in box) + "\n" for box in sequence.boxes)
        for name in ("visible.txt", "infrared.txt", "init.txt"):
            (partial / name).write_text(rows)
        with write_atomically(root / "AttriSeqsTxt" / f"{sequence.name}.txt") as temporary:
            temporary.write_text(",".join(str(int(sequence.attributes[name])) for name in ATTRIBUTES) + "\n")
        target.parent.mkdir(exist_ok=True)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise


def _write_image(image: np.ndarray, path: Path) -> None:
    coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    path.write_bytes(coded.tobytes())

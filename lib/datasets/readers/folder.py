"""Any folder of sequences: LasHeR and RGBT234 (visible + infrared), LaSOT, OTB and GOT-10k (visible only) layouts.

<seq>/visible/*  <seq>/infrared/*  visible.txt | init.txt | infrared.txt        LasHeR, RGBT234
<seq>/infrared/*                   infrared.txt | groundtruth.txt | init.txt    infrared only
<seq>/img/*      groundtruth.txt | groundtruth_rect.txt                         LaSOT, OTB
<seq>/*.jpg      groundtruth.txt                                                GOT-10k

Other names of the two image folders, such as `rgb` and `thermal`, are in `lib.datasets.streams`.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..annotation import read_boxes, read_flags
from ..collection import read_each
from ..layout import first_existing, make_sequence, read_started_boxes
from ..sequence import INFRARED, VISIBLE, Sequence
from ..streams import find_stream_folders, find_unread_folders, holds_images, subfolders

log = logging.getLogger(__name__)

PAIRED = ("visible.txt", "init.txt", "infrared.txt", "groundtruth.txt")
INFRARED_ONLY = ("infrared.txt", "groundtruth.txt", "groundtruth_rect.txt", "init.txt")
SINGLE = ("groundtruth.txt", "groundtruth_rect.txt", "visible.txt", "init.txt")
ANNOTATIONS = {(VISIBLE, INFRARED): PAIRED, (INFRARED,): INFRARED_ONLY, (VISIBLE,): SINGLE}  # by streams
ABSENCE = ("absent.txt", "full_occlusion.txt", "out_of_view.txt", "absence.label")


def read_folder(folder: str | Path) -> list[Sequence]:
    """The sequences in a folder (at most two levels down, as in LaSOT), or the folder itself as one sequence.

    Only the first box is needed: a sequence whose annotation has one row can be tracked but not scored. A sequence
    without annotation is left out with a warning. Raises InputError when no sequence is left.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: folder does not exist; name a folder of sequences, or one of them")
    annotated = []
    for path in _sequence_folders(root.resolve()):
        annotation = first_existing(path, ANNOTATIONS[tuple(_image_folders(path))])
        if annotation is None:
            log.warning("%s: left out, no annotation; put its first box x,y,w,h into %s", path, SINGLE[0])
        else:
            annotated.append((path, annotation))
    sequences = read_each(lambda found: _read_sequence(*found), annotated)
    if not sequences:
        raise InputError(f"{root}: no sequences; expected <sequence>/{{visible,infrared}} or <sequence>/img with boxes")
    _check_names(root, sequences)
    _name_unread([path for path, _ in annotated])
    return sequences


def read_videos(folder: str | Path) -> list[Sequence]:
    """As `read_folder`, for the user's own sequences. Raises InputError that names videos_dir."""
    try:
        return read_folder(folder)
    except InputError as error:
        raise InputError(f"{error}; videos_dir of local.py says where they are") from None


def _sequence_folders(root: Path) -> Iterator[Path]:
    if _image_folders(root):
        yield root
        return
    for child in subfolders(root):
        if _image_folders(child):
            yield child
        else:
            yield from (path for path in subfolders(child) if _image_folders(path))


def _image_folders(folder: Path) -> dict[str, Path]:
    """Modality -> image folder; empty when the folder is not a sequence."""
    streams = find_stream_folders(folder)
    if not streams and first_existing(folder, SINGLE) and holds_images(folder):
        return {VISIBLE: folder}
    return streams


def _read_sequence(folder: Path, annotation: Path) -> Sequence:
    boxes = read_started_boxes(annotation)
    known = {}
    infrared = folder / f"{INFRARED}.txt"
    if annotation.name == f"{VISIBLE}.txt" and infrared.is_file():
        other = read_boxes(infrared)
        if not np.array_equal(boxes, other, equal_nan=True):
            known["boxes_infrared"] = other
    flags = [read_flags(folder / name) for name in ABSENCE if (folder / name).is_file()]
    if flags:
        absent = np.any([flag[: min(map(len, flags))] for flag in flags], axis=0)
        known["visible_share"] = 1.0 - absent
    return make_sequence(folder.name, _image_folders(folder), boxes, **known)


def _name_unread(folders: list[Path]) -> None:
    """Say once which folders hold images that are none of the two streams."""
    unread = {path: find_unread_folders(path, _image_folders(path).values()) for path in folders}
    named = [path / name for path, names in unread.items() for name in names]
    if named:
        first = f"{named[0]} and {len(named) - 1} more" if named[1:] else str(named[0])
        log.warning("%s: holds images, which are not read; a second camera's folder is called infrared", first)


def _check_names(root: Path, sequences: list[Sequence]) -> None:
    """Results are stored by name: two sequences of one name would overwrite each other."""
    names = [sequence.name for sequence in sequences]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{root}: two sequences are called {twice!r}; rename one or take the folders one by one")

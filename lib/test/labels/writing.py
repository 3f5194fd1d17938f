"""Writing the labelled spans of a video as sequences in RGBT234's layout, with contact sheets."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...core.atomic import scratch_folder
from ...datasets.image import read_image
from ...datasets.sequence import INFRARED, VISIBLE, Frames
from .sheet import ROWS, sheet_row, spread
from .spans import Span

MARKS = {VISIBLE: "v", INFRARED: "i"}  # behind the number of an image
REPORT = "report.json"
QUALITY = 92  # of JPEG files


def write_spans(folder: Path, frames: Frames, used: range, spans: Sequence[Span], report: dict[str, Any]) -> None:
    """A new folder with a sequence <folder>_<number> for each span, contact sheets and report.json. It appears when it
    is complete. An image that several sequences show is one file, where the file system has hard links.

    used: the frames that the spans count.
    """
    spans = sorted(spans, key=lambda span: span.first)
    with new_folder(folder) as hidden:
        files: dict[int, list[Path]] = {}  # images of a frame that are written
        rows = []
        for number, span in enumerate(spans, start=1):
            sequence = hidden / f"{folder.name}_{number:02d}"
            shown = used[span.first : span.first + len(span.boxes)]
            files = write_sequence(sequence, frames, shown, span.boxes, files)
            rows.append(_read_row(sequence, span, frames.modalities))
        for page, first in enumerate(range(0, len(rows), ROWS), start=1):
            _write_image(hidden / f"contact_sheet_{page}.jpg", np.concatenate(rows[first : first + ROWS]))
        (hidden / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder that becomes `folder` on success and is removed on any failure."""
    with scratch_folder(folder) as hidden:
        yield hidden
        hidden.rename(folder)


def write_sequence(
    folder: Path, frames: Frames, shown: Sequence[int], boxes: np.ndarray, files: dict[int, list[Path]]
) -> dict[int, list[Path]]:
    """Write one sequence in RGBT234's layout: these frames of a video, with boxes [L, 4].

    files: images that are written already, by frame; returned with those of this sequence.
    """
    for modality in frames.modalities:
        (folder / modality).mkdir(parents=True)
    written = {}
    for place, index in enumerate(shown, start=1):
        paths = _image_paths(folder, frames.modalities, place)
        if index in files:
            for source, path in zip(files[index], paths, strict=True):
                _link(source, path)
        else:
            for image, path in zip(frames[index], paths, strict=True):
                _write_image(path, image)
        written[index] = paths
    lines = "".join(",".join(f"{value:.2f}" for value in box) + "\n" for box in boxes)
    for name in ("init", *frames.modalities):
        (folder / f"{name}.txt").write_text(lines, encoding="utf-8")
    return {**files, **written}


def _read_row(sequence: Path, span: Span, modalities: tuple[str, ...]) -> np.ndarray:
    places = spread(len(span.boxes))
    shown = [[read_image(path) for path in _image_paths(sequence, modalities, place + 1)] for place in places]
    title = f"{sequence.name}  from used frame {span.first + 1}  agreement {span.sure:.2f}"
    return sheet_row(title, shown, span.boxes[places], len(span.boxes))


def _image_paths(folder: Path, modalities: tuple[str, ...], number: int) -> list[Path]:
    return [folder / modality / f"{number:05d}{MARKS[modality]}.jpg" for modality in modalities]


def _write_image(path: Path, image: np.ndarray) -> None:
    coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    path.write_bytes(coded.tobytes())  # OpenCV's own writer says nothing of a full disk


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:
        shutil.copy(source, path)

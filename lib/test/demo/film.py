"""One video from input to pictures and files: who is followed, what is drawn, where it goes."""

import csv
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...core.target import Target
from ...datasets.sequence import Sequence
from ..analysis.leaderboard import select_scored
from ..evaluation.read_ahead import read_ahead
from ..metrics import PLAIN, score
from ..results.files import write_result
from ..tracker.protocol import Tracker
from ..video.draw import COLOURS, GREEN, Mark, contact_sheet, draw_frame, overlay_heat
from ..video.video import write_image, write_video
from .boxes import Given
from .session import TrackedFrame, start_targets, track_frame
from .window import Window

SHEET_PICTURES = 8


@dataclass(frozen=True, eq=False)
class Footage:
    """What is watched: frames in order, once."""

    name: str
    frames: Iterable[list[np.ndarray]]  # one [H, W, 3] uint8 RGB image per modality, equal in size
    modalities: tuple[str, ...]
    rate: float  # frames per second of the written video
    length: int | None = None  # None: a camera, which runs until it is stopped
    sequence: Sequence | None = None  # with its annotation, where there is one

    @classmethod
    def recorded(cls, sequence: Sequence, rate: float) -> "Footage":
        """A video that lies on disk."""
        frames = sequence.frames
        return cls(sequence.name, read_ahead(frames), frames.modalities, rate, len(sequence), sequence)


@dataclass(frozen=True)
class Script:
    """How a video is watched."""

    given: Given = field(default_factory=dict)
    ask: Callable[[np.ndarray], dict[int, np.ndarray]] | None = None  # first boxes on the first image, if none is given
    lost_below: float = 0.0  # score under which a target is shown as lost
    heat: bool = False  # score maps over the pictures
    most_frames: int | None = None  # to stop after
    video: str = "tracking.mp4"  # or .webm, for browsers


class Row(NamedTuple):
    """One target in one frame."""

    frame: int  # from 1
    target: int  # from 1
    box: np.ndarray  # [4] xywh, pixels of the visible image
    score: float
    lost: bool
    given: bool  # the box is a person's


class Film(NamedTuple):
    """What came out. N frames."""

    rows: list[Row]
    seconds: np.ndarray  # [N] of the tracker alone
    elapsed: float  # seconds from the first frame to the last, reading, drawing and writing included
    figures: dict[str, float]  # metric name -> [0, 1]; empty without an annotation of every frame
    files: list[Path]


def make_film(
    tracker: Tracker,
    footage: Footage,
    folder: Path,
    script: Script,
    *,
    window: Window | None = None,
    on_frame: Callable[[int], object] = lambda index: None,
) -> Film:
    """Follow the targets of a script and write into `folder`: the video (annotated, modalities side by side),
    contact_sheet.png, tracks.csv and, where one target is followed from the first frame on, boxes.txt.

    Ctrl-C ends the video early; what was followed until then is written. Raises InputError for boxes that cannot be
    started from and frames that cannot be read.
    """
    rows: list[Row] = []
    seconds: list[float] = []
    sheet, begin = _Sheet(), time.perf_counter()
    shown_from = begin
    with write_video(folder / script.video, footage.rate) as append, suppress(KeyboardInterrupt):
        for watched, picture in _watch_all(tracker, footage, script, window):
            index = len(seconds)
            shown_from = time.perf_counter() if index == 0 else shown_from
            rows += _rows(watched, index, script)
            seconds.append(watched.seconds)
            # A camera's pictures last as long as they did, however slow the tracker was.
            late = (time.perf_counter() - shown_from) * footage.rate if footage.length is None else 0
            for _ in range(max(1, round(late) - sheet.added)):
                append(picture)
                sheet.add(picture)
            on_frame(index)
    if not seconds:
        raise InputError(f"{footage.name}: stopped before its first frame")
    elapsed = time.perf_counter() - begin
    files = [folder / script.video, folder / "contact_sheet.png", folder / "tracks.csv"]
    write_image(files[1], contact_sheet(sheet.chosen()))
    _write_tracks(files[2], rows)
    boxes = _single(rows, len(seconds))
    if boxes is not None:
        write_result(folder, "boxes", boxes, np.array(seconds))
        files.append(folder / "boxes.txt")
    return Film(rows, np.array(seconds), elapsed, _figures(footage, boxes), files)


def fresh_folder(wanted: str | Path) -> Path:
    """Make and return `wanted` or, where it holds something already, `wanted`_2, `wanted`_3, …"""
    wanted = Path(wanted)
    folder, number = wanted, 1
    while folder.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
        number += 1
        folder = wanted.with_name(f"{wanted.name}_{number}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Sheet:
    """Pictures for a contact sheet of a video of any length: some, evenly spread, and the last one."""

    def __init__(self) -> None:
        self.added, self._stride = 0, 1
        self._kept: list[np.ndarray] = []
        self._last: np.ndarray | None = None

    def add(self, picture: np.ndarray) -> None:
        if self.added % self._stride == 0:
            self._kept.append(picture)
        if len(self._kept) > 4 * SHEET_PICTURES:
            self._kept, self._stride = self._kept[::2], 2 * self._stride
        self._last, self.added = picture, self.added + 1

    def chosen(self) -> list[np.ndarray]:
        pictures = [*self._kept, self._last] if self._last is not self._kept[-1] else self._kept
        places = np.linspace(0, len(pictures) - 1, min(SHEET_PICTURES, len(pictures))).round().astype(int)
        return [pictures[place] for place in places]


def _watch_all(
    tracker: Tracker, footage: Footage, script: Script, window: Window | None
) -> Iterable[tuple[TrackedFrame, np.ndarray]]:
    """Every frame with its picture, until the video, the script or the person at the window ends it."""
    truth = _truth_by_frame(footage.sequence)
    targets: Mapping[int, Target] = {}
    bar = tqdm(footage.frames, total=footage.length, unit="frame", dynamic_ncols=True)
    for index, images in enumerate(bar):
        given = dict(script.given.get(index, {}))
        if index == 0 and not script.given and script.ask is not None:
            given = script.ask(images[0])
        heat = script.heat if window is None else window.heat
        watched = track_frame(tracker, targets, images, given, name=footage.name, heat=heat)
        picture = _picture(watched, (index, footage), truth.get(index), script)
        while window is not None and (drawn := window.show(picture, images[0], watched.targets)):
            watched = start_targets(tracker, watched, drawn, name=footage.name)
            picture = _picture(watched, (index, footage), truth.get(index), script)
        yield watched, picture
        targets = watched.targets
        if (window is not None and window.ended) or index + 1 == script.most_frames:
            break
    bar.close()


def _picture(watched: TrackedFrame, place: tuple[int, Footage], truth: np.ndarray | None, script: Script) -> np.ndarray:
    index, footage = place
    images = list(watched.images)
    for heat in watched.heats.values():
        images = [overlay_heat(image, *heat) for image in images]
    marks = [] if truth is None else [Mark(truth, colour=GREEN)]
    for number, target in watched.targets.items():
        lost = watched.lost(number, script.lost_below)
        words = [str(number)] if len(watched.targets) > 1 else []
        words += ["given" if number in watched.given else f"{target.score:.2f}"] + ["lost"] * lost
        marks.append(Mark(target.box, " ".join(words), COLOURS[(number - 1) % len(COLOURS)], dashed=lost))
    titles = list(footage.modalities)
    titles[0] += f"  {index + 1}" + (f"/{footage.length}" if footage.length else "")
    if truth is not None:
        titles[-1] += "  (green: annotation)"
    return draw_frame(images, marks, titles)


def _rows(watched: TrackedFrame, index: int, script: Script) -> list[Row]:
    return [
        Row(
            index + 1,
            number,
            target.box,
            target.score,
            watched.lost(number, script.lost_below),
            number in watched.given,
        )
        for number, target in watched.targets.items()
    ]


def _write_tracks(path: Path, rows: Iterable[Row]) -> None:
    with write_atomically(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("frame", "target", "x", "y", "w", "h", "score", "lost", "given"))
        for row in rows:
            numbers = [f"{value:.4f}" for value in (*row.box, row.score)]
            writer.writerow((row.frame, row.target, *numbers, int(row.lost), int(row.given)))


def _single(rows: list[Row], frames: int) -> np.ndarray | None:
    """[N, 4] boxes of one target that was followed from the first frame to the last; None for anything else."""
    whole = len(rows) == frames and len({row.target for row in rows}) == 1
    return np.stack([row.box for row in rows]) if whole else None


def _truth_by_frame(sequence: Sequence | None) -> dict[int, np.ndarray]:
    """Frame index -> annotated box; empty where the annotation only says where the target starts."""
    if sequence is None or len(sequence.boxes) < 2:
        return {}
    frames = range(len(sequence.boxes)) if sequence.annotated is None else sequence.annotated.tolist()
    return dict(zip(frames, sequence.boxes, strict=True))


def _figures(footage: Footage, boxes: np.ndarray | None) -> dict[str, float]:
    sequence = footage.sequence
    if sequence is None or boxes is None or len(sequence.boxes) < 2 or len(sequence.boxes) != len(boxes):
        return {}
    return score(PLAIN, [video.truth for video in select_scored([sequence])], [boxes]).overall

"""Tracking targets in one video: from its frames to the files of the result."""

import csv
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...core.atomic import is_empty_folder, write_atomically
from ...core.errors import InputError
from ...core.frame import INFRARED, NO_INFRARED
from ...core.target import Target
from ...datasets.sequence import Sequence
from ..analysis.leaderboard import select_scored
from ..evaluation.read_ahead import read_ahead
from ..metrics import PLAIN, score
from ..results.files import write_result
from ..tracker.protocol import Tracker
from ..video.draw import GREEN, Mark, SheetPictures, colour_of, contact_sheet, draw_frame, overlay_heat, overlay_mask
from ..video.video import write_image, write_video
from .boxes import GivenBoxes, check_within
from .demo_frame import DemoFrame, start_targets, track_frame
from .window import Window

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class DemoVideo:
    """A recording or a camera: frames in order, which can be read once."""

    name: str
    frames: Iterable[list[np.ndarray]]  # one [H, W, 3] uint8 RGB image per modality, equal in size
    modalities: tuple[str, ...]
    rate: float  # frames per second of the written video
    length: int | None = None  # frames; None: a camera, which runs until it is stopped
    sequence: Sequence | None = None  # a recording's, with its annotation if it has one

    @classmethod
    def from_sequence(cls, sequence: Sequence, rate: float) -> "DemoVideo":
        """A recording on disk. rate: frames per second of the written video."""
        frames = sequence.frames
        return cls(sequence.name, read_ahead(frames), frames.modalities, rate, len(sequence), sequence)


@dataclass(frozen=True)
class VideoOptions:
    """How targets are tracked in a video, and what is written."""

    boxes: GivenBoxes = field(default_factory=dict)
    #: where `boxes` is empty: first image -> boxes drawn on it, by number of the target
    draw_boxes: Callable[[np.ndarray], dict[int, np.ndarray]] | None = None
    lost_below: float = 0.0  # targets with a lower score are shown as lost
    heat: bool = False  # whether score maps are laid over the pictures
    max_frames: int | None = None  # the video ends after so many
    file_name: str = "tracking.mp4"  # of the written video; .webm plays in browsers


class TrackRow(NamedTuple):
    """One target in one frame, as a row of tracks.csv."""

    frame: int  # from 1
    target: int  # from 1
    box: np.ndarray  # [4] xywh, pixels of the visible image
    score: float
    lost: bool
    given: bool  # whether a person gave the box


class VideoResult(NamedTuple):
    """What tracking in N frames of a video gave."""

    rows: list[TrackRow]
    seconds: np.ndarray  # [N] time of the tracker alone
    elapsed: float  # seconds of the whole run: reading, tracking, drawing, writing
    figures: dict[str, float]  # metric -> value in [0, 1]; empty unless every frame is annotated
    files: list[Path]

    @property
    def speed(self) -> float:
        """Frames per second of the tracker alone, over the frames that have a target; NaN without one."""
        tracked = sorted({row.frame - 1 for row in self.rows})
        return len(tracked) / float(self.seconds[tracked].sum()) if tracked else float("nan")


def track_video(
    tracker: Tracker,
    video: DemoVideo,
    folder: Path,
    options: VideoOptions,
    *,
    window: Window | None = None,
    on_frame: Callable[[int], object] = lambda index: None,
) -> VideoResult:
    """Track targets in a video and write into `folder`: the video with the boxes drawn, contact_sheet.png, tracks.csv
    and, if there is one target and it starts in the first frame, boxes.txt.

    on_frame: is called with the index of each finished frame. Ctrl-C ends the video early; the frames until then are
    written. Raises InputError for boxes that tracking cannot start from and for frames that cannot be read.
    """
    if video.length is not None:
        check_within(options.boxes, min(video.length, options.max_frames or video.length), video.name)
    if tracker.streams.modalities > 1 and INFRARED not in video.modalities:
        log.warning("%s: %s", video.name, NO_INFRARED[tracker.streams.missing])
    rows: list[TrackRow] = []
    seconds: list[float] = []
    sheet, begin = SheetPictures(), time.perf_counter()
    shown_from = begin
    with write_video(folder / options.file_name, video.rate) as append:
        with suppress(KeyboardInterrupt):
            for frame, picture in _track_frames(tracker, video, options, window):
                index = len(seconds)
                shown_from = time.perf_counter() if index == 0 else shown_from
                rows += _rows(frame, index, options)
                seconds.append(frame.seconds)
                # Pictures of a camera are repeated, so that the written video is as long as the tracking was.
                late = (time.perf_counter() - shown_from) * video.rate if video.length is None else 0
                for _ in range(max(1, round(late) - sheet.added)):
                    append(picture)
                    sheet.add(picture)
                on_frame(index)
        if not seconds:
            raise InputError(f"{video.name}: stopped before its first frame")
    elapsed = time.perf_counter() - begin
    boxes = _single(rows, len(seconds))
    files = [folder / options.file_name, *_write_files(folder, sheet, rows, boxes, np.array(seconds))]
    return VideoResult(rows, np.array(seconds), elapsed, _figures(video, boxes), files)


def fresh_folder(wanted: str | Path) -> Path:
    """The folder `wanted`, which is missing or empty; where it is not, `wanted`_2, `wanted`_3, …"""
    wanted = Path(wanted)
    folder, number = wanted, 1
    while folder.exists() and not is_empty_folder(folder):
        number += 1
        folder = wanted.with_name(f"{wanted.name}_{number}")
    return folder


def _track_frames(
    tracker: Tracker, video: DemoVideo, options: VideoOptions, window: Window | None
) -> Iterable[tuple[DemoFrame, np.ndarray]]:
    """Every frame with its picture, until the video ends, `max_frames` is reached or q is pressed in the window."""
    truth = _truth_by_frame(video.sequence)
    targets: Mapping[int, Target] = {}
    bar = tqdm(video.frames, total=video.length, unit="frame", dynamic_ncols=True)
    for index, images in enumerate(bar):
        given = dict(options.boxes.get(index, {}))
        if index == 0 and not options.boxes and options.draw_boxes is not None:
            given = options.draw_boxes(images[0])
        heat = options.heat if window is None else window.heat
        frame = track_frame(tracker, targets, images, given, name=video.name, heat=heat)
        picture = _picture(frame, (index, video), truth.get(index), options)
        while window is not None and (drawn := window.show(picture, images[0], frame.targets)):
            frame = start_targets(tracker, frame, drawn, name=video.name)
            picture = _picture(frame, (index, video), truth.get(index), options)
        yield frame, picture
        targets = frame.targets
        if (window is not None and window.ended) or index + 1 == options.max_frames:
            break
    bar.close()


def _picture(
    frame: DemoFrame, place: tuple[int, DemoVideo], truth: np.ndarray | None, options: VideoOptions
) -> np.ndarray:
    index, video = place
    images = list(frame.images)
    for heat in frame.heats.values():
        images = [overlay_heat(image, *heat) for image in images]
    for number, target in frame.targets.items():
        if target.mask is not None:
            images = [overlay_mask(image, target.mask.in_frame(image.shape[:2]), colour_of(number)) for image in images]
    marks = [] if truth is None else [Mark(truth, colour=GREEN)]
    for number, target in frame.targets.items():
        lost = frame.lost(number, options.lost_below)
        words = [str(number)] if len(frame.targets) > 1 else []
        words += ["given" if number in frame.given else f"{target.score:.2f}"] + ["lost"] * lost
        marks.append(Mark(target.box, " ".join(words), colour_of(number), dashed=lost))
    titles = list(video.modalities)
    titles[0] += f"  {index + 1}" + (f"/{video.length}" if video.length else "")
    if truth is not None:
        titles[-1] += "  (green: annotation)"
    return draw_frame(images, marks, titles)


def _rows(frame: DemoFrame, index: int, options: VideoOptions) -> list[TrackRow]:
    return [
        TrackRow(
            index + 1,
            number,
            target.box,
            target.score,
            frame.lost(number, options.lost_below),
            number in frame.given,
        )
        for number, target in frame.targets.items()
    ]


def _write_files(
    folder: Path, sheet: SheetPictures, rows: list[TrackRow], boxes: np.ndarray | None, seconds: np.ndarray
) -> list[Path]:
    """All files but the video."""
    files = [folder / "contact_sheet.png", folder / "tracks.csv"]
    write_image(files[0], contact_sheet(sheet.chosen()))
    _write_tracks(files[1], rows)
    if boxes is not None:
        write_result(folder, "boxes", boxes, seconds)
        files.append(folder / "boxes.txt")
    return files


def _write_tracks(path: Path, rows: Iterable[TrackRow]) -> None:
    with write_atomically(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("frame", "target", "x", "y", "w", "h", "score", "lost", "given"))
        for row in rows:
            numbers = [f"{value:.4f}" for value in (*row.box, row.score)]
            writer.writerow((row.frame, row.target, *numbers, int(row.lost), int(row.given)))


def _single(rows: list[TrackRow], frames: int) -> np.ndarray | None:
    """[N, 4] boxes if there is one target, tracked from the first frame to the last; else None."""
    whole = len(rows) == frames and len({row.target for row in rows}) == 1
    return np.stack([row.box for row in rows]) if whole else None


def _truth_by_frame(sequence: Sequence | None) -> dict[int, np.ndarray]:
    """Frame index -> annotated box; empty where only the first frame is annotated."""
    if sequence is None or len(sequence.boxes) < 2:
        return {}
    frames = range(len(sequence.boxes)) if sequence.annotated is None else sequence.annotated.tolist()
    return dict(zip(frames, sequence.boxes, strict=True))


def _figures(video: DemoVideo, boxes: np.ndarray | None) -> dict[str, float]:
    sequence = video.sequence
    if sequence is None or boxes is None or len(sequence.boxes) < 2 or len(sequence.boxes) != len(boxes):
        return {}
    return score(PLAIN, [scored.truth for scored in select_scored([sequence])], [boxes]).overall

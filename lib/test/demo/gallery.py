"""Result files drawn over their frames: several trackers in colours, the modalities side by side, sheets and videos."""

import logging
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...datasets.sequence import Sequence
from ..analysis.leaderboard import shortened
from ..analysis.moments import Moment, find_moments, frame_boxes, overlaps, true_boxes, worst_first
from ..results.dialect import find_result, read_result
from ..video.draw import COLOURS, GREEN, Mark, contact_sheet, draw_frame, legend_strip
from ..video.video import write_image, write_video

log = logging.getLogger(__name__)

ANNOTATION = "annotation"
SHEET_PICTURES = 12
CONTEXT = 15  # frames of video before and after a moment


@dataclass(frozen=True, eq=False)
class Followed:
    """One sequence with the boxes of all trackers, by frame."""

    sequence: Sequence
    truth: dict[int, np.ndarray]
    boxes: dict[str, dict[int, np.ndarray]]  # tracker -> frame -> xywh

    def overlaps(self, name: str) -> dict[int, float]:
        """Of one tracker, by annotated frame; the annotation keeps everything."""
        return dict.fromkeys(self.truth, 1.0) if name == ANNOTATION else overlaps(self.truth, self.boxes[name])

    def picture(self, frame: int) -> np.ndarray:
        """One frame with all boxes, names and overlaps: [H, W, 3] uint8 RGB."""
        colours = dict(zip(self.boxes, COLOURS, strict=False))
        marks, words = [], []
        if frame in self.truth:
            marks.append(Mark(self.truth[frame], colour=GREEN))
            words.append((ANNOTATION, GREEN))
        for name, boxes in self.boxes.items():
            word = name
            if frame in boxes:
                marks.append(Mark(boxes[frame], colour=colours[name]))
                if frame in self.truth:
                    word += f" {overlaps({frame: self.truth[frame]}, boxes)[frame]:.2f}"
            words.append((word, colours[name]))
        modalities = self.sequence.frames.modalities
        titles = [f"{self.sequence.name}  {modalities[0]}  {frame}", *modalities[1:]]
        whole = draw_frame(self.sequence.frames[frame], marks, titles)
        return np.concatenate([legend_strip(words, whole.shape[1], whole.shape[0]), whole])


def read_followed(sequences: Iterable[Sequence], folders: Mapping[str, Path]) -> list[Followed]:
    """The sequences that all trackers have results of; says which are left out.

    Raises InputError for more trackers than colours, for malformed results and when no sequence is left.
    """
    if len(folders) > len(COLOURS):
        raise InputError(f"--results: {len(folders)} trackers, at most {len(COLOURS)} colours can be told apart")
    followed, lacking = [], []
    for sequence in sequences:
        paths = {name: find_result(folder, sequence.name) for name, folder in folders.items()}
        boxes = {
            name: frame_boxes(sequence, read_result(path), path) for name, path in paths.items() if path is not None
        }
        if len(boxes) == len(folders):
            followed.append(Followed(sequence, true_boxes(sequence), boxes))
        else:
            lacking.append(sequence.name)
    if lacking:
        log.warning("left out, not every tracker has a result: %d sequences: %s", len(lacking), shortened(lacking))
    if not followed:
        raise InputError("--results: no sequence has results of every tracker; check the folders and --dataset_name")
    return followed


def collect_moments(followed: Iterable[Followed], lost: str, kept: str, most: int) -> Ordered[Moment]:
    """The worst moments over all sequences: `lost` loses what `kept` keeps (which may be the annotation)."""
    found = (
        moment
        for item in followed
        for moment in find_moments(item.sequence.name, item.overlaps(lost), item.overlaps(kept))
    )
    return worst_first(found, most)


def draw_moments(followed: Ordered[Followed], moments: Ordered[Moment], folder: Path, frames_per_second: float) -> None:
    """Write contact_sheet.png, one picture per moment at its peak, and moments.mp4, all of them in the same order."""
    by_name = {item.sequence.name: item for item in followed}
    peaks = [by_name[moment.sequence].picture(moment.peak) for moment in moments]
    write_image(folder / "contact_sheet.png", contact_sheet(_same_size(peaks)))
    with write_video(folder / "moments.mp4", frames_per_second) as append:
        for moment in moments:
            item = by_name[moment.sequence]
            last = min(moment.last + CONTEXT, len(item.sequence) - 1)
            for frame in range(max(moment.first - CONTEXT, 0), last + 1):
                append(item.picture(frame))


def draw_whole(item: Followed, folder: Path, frames_per_second: float) -> None:
    """Write one sequence from beginning to end: <name>.mp4 and a contact sheet of even steps, <name>.png."""
    name, length = item.sequence.name, len(item.sequence)
    picked = np.linspace(0, length - 1, min(SHEET_PICTURES, length)).round().astype(int)
    write_image(folder / f"{name}.png", contact_sheet([item.picture(int(frame)) for frame in picked]))
    with write_video(folder / f"{name}.mp4", frames_per_second) as append:
        for frame in range(length):
            append(item.picture(frame))


def _same_size(pictures: Ordered[np.ndarray]) -> list[np.ndarray]:
    """Pictures of different sequences on black canvases of one size."""
    height, width = (max(picture.shape[side] for picture in pictures) for side in (0, 1))
    return [
        np.pad(picture, ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0))) for picture in pictures
    ]

"""Result files drawn over the frames: one colour per tracker, modalities side by side, as contact sheets and videos."""

import logging
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...core.words import counted
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
class TrackedSequence:
    """One sequence with the result boxes of all trackers, by frame."""

    sequence: Sequence
    truth: dict[int, np.ndarray]
    boxes: dict[str, dict[int, np.ndarray]]  # tracker -> frame -> xywh

    def overlaps(self, name: str) -> dict[int, float]:
        """IoU of one tracker's boxes by annotated frame; 1 for the annotation itself."""
        return dict.fromkeys(self.truth, 1.0) if name == ANNOTATION else overlaps(self.truth, self.boxes[name])

    def picture(self, frame: int) -> np.ndarray:
        """One frame with all boxes, names and IoUs: [H, W, 3] uint8 RGB."""
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
        titles = [f"{self.sequence.name}  {modalities[0]}  {frame + 1}", *modalities[1:]]
        whole = draw_frame(self.sequence.frames[frame], marks, titles)
        return np.concatenate([legend_strip(words, whole.shape[1], whole.shape[0]), whole])


def read_tracked_sequences(sequences: Iterable[Sequence], folders: Mapping[str, Path]) -> list[TrackedSequence]:
    """The sequences that all trackers have results for; a warning names those that are left out.

    Raises InputError for more trackers than colours, for malformed results, and when no sequence is left.
    """
    if len(folders) > len(COLOURS):
        raise InputError(f"--results: {len(folders)} trackers, at most {len(COLOURS)} colours can be told apart")
    tracked, lacking = [], []
    for sequence in sequences:
        paths = {name: find_result(folder, sequence.name) for name, folder in folders.items()}
        boxes = {
            name: frame_boxes(sequence, read_result(path), path) for name, path in paths.items() if path is not None
        }
        if len(boxes) == len(folders):
            tracked.append(TrackedSequence(sequence, true_boxes(sequence), boxes))
        else:
            lacking.append(sequence.name)
    if lacking:
        count = counted(len(lacking), "sequence")
        log.warning("left out, not every tracker has a result: %s: %s", count, shortened(lacking))
    if not tracked:
        raise InputError("--results: no sequence has results of every tracker; check the folders and --dataset_name")
    return tracked


def collect_moments(tracked: Iterable[TrackedSequence], lost: str, kept: str, most: int) -> Many[Moment]:
    """The worst moments over all sequences: the tracker `lost` loses a target that `kept`, a tracker or the annotation,
    still has. most: how many."""
    found = (
        moment
        for item in tracked
        for moment in find_moments(item.sequence.name, item.overlaps(lost), item.overlaps(kept))
    )
    return worst_first(found, most)


def draw_moments(tracked: Many[TrackedSequence], moments: Many[Moment], folder: Path, frames_per_second: float) -> None:
    """Write contact_sheet.png, one picture per moment at its peak, and moments.mp4, the moments in the same order."""
    by_name = {item.sequence.name: item for item in tracked}
    peaks = [by_name[moment.sequence].picture(moment.peak) for moment in moments]
    write_image(folder / "contact_sheet.png", contact_sheet(_same_size(peaks)))
    with write_video(folder / "moments.mp4", frames_per_second) as append:
        for moment in moments:
            item = by_name[moment.sequence]
            last = min(moment.last + CONTEXT, len(item.sequence) - 1)
            for frame in range(max(moment.first - CONTEXT, 0), last + 1):
                append(item.picture(frame))


def draw_whole(item: TrackedSequence, folder: Path, frames_per_second: float) -> None:
    """Write one whole sequence as <name>.mp4, and a contact sheet of evenly spaced frames as <name>.png."""
    name, length = item.sequence.name, len(item.sequence)
    picked = np.linspace(0, length - 1, min(SHEET_PICTURES, length)).round().astype(int)
    write_image(folder / f"{name}.png", contact_sheet([item.picture(int(frame)) for frame in picked]))
    with write_video(folder / f"{name}.mp4", frames_per_second) as append:
        for frame in range(length):
            append(item.picture(frame))


def _same_size(pictures: Many[np.ndarray]) -> list[np.ndarray]:
    """Pictures of different sequences, padded with black to one size."""
    height, width = (max(picture.shape[side] for picture in pictures) for side in (0, 1))
    return [
        np.pad(picture, ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0))) for picture in pictures
    ]

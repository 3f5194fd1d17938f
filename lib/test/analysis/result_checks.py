"""Warnings about results that can be scored but look wrong: one line per tracker. Nothing is repaired."""

import logging
from collections.abc import Mapping
from collections.abc import Sequence as Many
from pathlib import Path

import numpy as np

from ..metrics import GroundTruth, overlap
from ..results.dialect import other_readings

log = logging.getLogger(__name__)

BEGINS = 0.5  # overlap of the first row with the given box
EARLY = 30  # frames in which a working tracker still follows its target
LEAST_SIDE = 4  # pixels of an annotated box, above which a result in which nothing exceeds 1 is not in pixels
LEAST_FACTOR = 1.2  # between two units of boxes
GAIN = 0.15  # increase of the mean overlap: boxes in another convention gain 0.4 and more, a lost tracker gains nothing


def warn_of_surplus(name: str, paths: Many[Path], truths: Many[GroundTruth], results: Many[np.ndarray]) -> None:
    """Warn of rows after the last annotated frame. results: as read from the files."""
    pairs = zip(paths, truths, results, strict=True)
    counts = [(path, len(truth.boxes), len(rows)) for path, truth, rows in pairs if truth.annotated is None]
    longer = [count for count in counts if count[2] > count[1]]
    if longer:
        path, frames, rows = longer[0]
        message = "%s: surplus rows of %d results are not scored, the first: %s, %d rows for %d annotated frames"
        log.warning(message, name, len(longer), path, rows, frames)


def warn_of_implausible(name: str, paths: Many[Path], truths: Many[GroundTruth], results: Many[np.ndarray]) -> None:
    """Warn of boxes without area and of boxes that are probably not `x y w h`. results: [T, 4], one row per row of the
    ground truth."""
    broken = [np.flatnonzero(~(rows[:, 2:] > 0).all(1) | np.isnan(rows).any(1)) for rows in results]
    files = [index for index, rows in enumerate(broken) if len(rows)]
    if files:
        count, first = sum(map(len, broken)), files[0]
        message = "%s: %d boxes in %d results are no boxes (no width or height, or NaN), the first: %s, row %d"
        log.warning(message, name, count, len(files), paths[first], broken[first][0] + 1)
    plain = all(truth.annotated is None for truth in truths)
    eight = [other_readings(path, EARLY) for path in paths] if plain else []
    other = other_convention([truth.boxes for truth in truths], results, eight)
    if other is not None:
        scored = "the corners of a polygon" if any(eight) else "x y w h"
        log.warning("%s: boxes look like %s; they are scored as %s, so convert them first", name, other, scored)
        return
    pairs = zip(truths, results, strict=True)
    odd = [index for index, (truth, rows) in enumerate(pairs) if not begins_as_given(truth, rows)]
    if odd:
        message = "%s: %d of %d results do not begin with the given box, the first: %s; were they made on other data?"
        log.warning(message, name, len(odd), len(paths), paths[odd[0]])


def begins_as_given(truth: GroundTruth, rows: np.ndarray) -> bool:
    """Whether the first row of a result [T, 4] overlaps the annotation of the first frame, of either stream, by half;
    true where that is not known."""
    if truth.annotated is not None and truth.annotated[0] != 0 or not (rows[0, 2:] > 0).all():
        return True
    return any(float(overlap(box[None], rows[:1])[0]) >= BEGINS for box in truth.first_boxes)


def other_convention(
    truths: Many[np.ndarray], results: Many[np.ndarray], eight: Many[Mapping[str, np.ndarray]] = ()
) -> str | None:
    """A text such as `x1 y1 x2 y2 (mean overlap 0.71 instead of 0.12)` where another reading of the boxes fits the
    annotation clearly better in the first 30 frames of all sequences; None where the boxes fit.

    truths, results: [T, 4]; eight: of each file the other readings of its eight columns (`other_readings`).
    """
    truth = np.concatenate([rows[:EARLY] for rows in truths]).astype(np.float64)
    result = np.concatenate([rows[:EARLY] for rows in results])
    known = (truth[:, 2:] > 0).all(1) & np.isfinite(result).all(1)
    rows_begin = np.concatenate([np.arange(min(EARLY, len(rows))) == 0 for rows in truths])
    others = {
        words: np.concatenate([rows[words][: len(truth)] for rows, truth in zip(eight, truths, strict=True)])
        for words in (eight[0] if eight else ())
        if all(len(rows.get(words, ())) >= min(EARLY, len(truth)) for rows, truth in zip(eight, truths, strict=True))
    }
    others = {words: rows[known] for words, rows in others.items()}
    truth, result = truth[known], result[known]
    if len(result) and np.abs(result).max() <= 1 and np.median(truth[:, 2:]) > LEAST_SIDE:
        return f"fractions of the image (no number above {np.abs(result).max():.4g})"
    place, size = result[:, :2], result[:, 2:]
    readings = {
        "x y w h": result,
        "x1 y1 x2 y2": np.concatenate([place, size - place], 1),
        "cx cy w h": np.concatenate([place - size / 2, size], 1),
        "y x h w": result[:, [1, 0, 3, 2]],
        "y1 x1 y2 x2": np.concatenate([place, size - place], 1)[:, [1, 0, 3, 2]],
        **others,
    }
    readings |= _in_other_units(readings, truth, rows_begin[known])
    means = {word: _mean_overlap(truth, boxes) for word, boxes in readings.items()}
    best = max(means, key=lambda word: means[word])
    if means[best] < means["x y w h"] + GAIN:
        return None
    return f"{best} (mean overlap {means[best]:.2f} instead of {means['x y w h']:.2f})"


def _in_other_units(readings: Mapping[str, np.ndarray], truth: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
    """Readings times one factor in x and one in y: boxes in thousandths of the image, or in pixels of another size of
    it. Only where the first rows [T] bool, which hold the given box, fit with the factors and not without."""
    found = {}
    for words, boxes in readings.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (truth[:, :2] + truth[:, 2:] / 2) / (boxes[:, :2] + boxes[:, 2:] / 2)
        ratio = ratio[(np.isfinite(ratio) & (ratio > 0)).all(1)]
        if not len(ratio) or not first.any():
            continue
        factor = np.median(ratio, axis=0)
        scaled = boxes * np.tile(factor, 2)
        before, after = (_mean_overlap(truth[first], one[first]) for one in (boxes, scaled))
        if max(*factor, *(1 / factor)) > LEAST_FACTOR and before < BEGINS <= after:
            found[f"{words} in other units, pixels after x times {factor[0]:.3g} and y times {factor[1]:.3g}"] = scaled
    return found


def _mean_overlap(truth: np.ndarray, boxes: np.ndarray) -> float:
    """Mean overlap; a box without area has overlap 0."""
    usable = (boxes[:, 2:] > 0).all(1)
    return float(overlap(truth[usable], boxes[usable]).sum() / max(len(truth), 1))

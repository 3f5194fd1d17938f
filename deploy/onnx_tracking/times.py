"""The times of frames, and which frames of two recordings belong together by time."""

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from .numbering import HALF, number_images

SAME_RATE = 0.01  # relative difference up to which two rates agree
FOLDER_RATE, SANE_RATES = 25.0, (1 / 3600, 1000.0)  # frames per second: of folders, and those that a file may state
TIE = 1e-6  # seconds by which one of two frames must be nearer than the other
STAMPS = (  # times in names: seconds since 1970; date and time; time. Groups: date, time, decimals
    re.compile(r"(?<!\d)()(1\d{9})(?:\.(\d+)|_?(\d{3}|\d{6}|\d{9}))?$"),
    re.compile(
        r"(?<!\d)((?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d)[-_.T ]*([0-2]\d[-_.:h]?[0-5]\d[-_.:m]?[0-5]\d)"
        r"(?:[.,](\d{1,9})|[-_]?(\d{3}|\d{6}|\d{9}))?Z?$"
    ),
    re.compile(r"(?<!\d)(?<!\d[-_.T ])()([0-2]\d[-:h][0-5]\d[-:m][0-5]\d)(?:[.,](\d{1,9})|[-_](\d{3}|\d{6}))?$"),
)


def rate_of(times: np.ndarray) -> float:
    """The usual number of frames per second."""
    return 1 / max(float(np.median(np.diff(times))), 1e-9)


def is_sane(rate: float) -> bool:
    """Whether a camera can have so many frames per second."""
    return SANE_RATES[0] <= rate <= SANE_RATES[1]


def read_stamps(paths: Sequence[Path]) -> np.ndarray | None:
    """The times in the names of a folder's images, in seconds, by the rules of lib/datasets/times.py; None for other
    names, and for times that do not ascend."""
    for pattern in STAMPS:
        found = [pattern.search(path.stem) for path in paths]
        try:
            times = np.array([read_stamp(*match.groups()) for match in found if match])
        except ValueError:  # the 31st of February
            continue
        if 1 < len(times) == len(paths) and (np.diff(times) > 0).all() and is_sane(rate_of(times)):
            return times
    return None


def read_stamp(date: str, clock: str, *decimals: str | None) -> float:
    """Seconds since 1970 of a match of one of STAMPS."""
    fraction = next(filter(None, decimals), "0")
    if len(clock) == 10:
        return float(f"{clock}.{fraction}")
    day = re.sub(r"\D", "", date) or "19700101"
    moment = datetime.strptime(day + re.sub(r"\D", "", clock), "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    return moment.timestamp() + float(f"0.{fraction}")


def own_clocks(folders: Sequence[list[Path]]) -> list[tuple[np.ndarray, float]] | None:
    """The times, on one scale, and rates of two folders whose images are named by times of which less than half are
    in both; else None. Times that do not overlap are counted from each folder's first image."""
    stamps = [times for times in map(read_stamps, folders) if times is not None]
    first, second = number_images(folders)
    if len(stamps) < 2 or len(set(first) & set(second)) >= HALF * min(len(first), len(second)):
        return None
    one, two = stamps
    zero = [0, 0] if one[0] <= two[-1] and two[0] <= one[-1] else [one[0], two[0]]
    return [(times - start, rate_of(times)) for times, start in zip(stamps, zero, strict=True)]


def match_times(clocks: Sequence[tuple[np.ndarray, float]], stamped: bool = False) -> list[tuple[int, int]]:
    """The places of the frames of two recordings that belong together, by the rules of lib/datasets/times.py: in order
    at one rate, else each visible frame with the infrared frame nearest in time.

    clocks: times of the frames and frames per second; stamped: both are told by names of images."""
    (visible, rate), (infrared, other) = clocks
    length = min(len(visible), len(infrared))
    even = not stamped and all(
        (np.abs(times - np.arange(len(times)) / pace) <= 0.5 / pace).all() for times, pace in clocks
    )
    together = (np.abs(visible[:length] - infrared[:length]) <= 0.5 / max(rate, other)).all()
    if together or (even and abs(other / rate - 1) <= SAME_RATE):
        pairs = [(k, k) for k in range(length)]
    else:
        kind = f"{rate:.4g} and {other:.4g} frames/s" if even else "the recordings have times of their own"
        print(f"{kind}: each visible frame gets the infrared frame nearest in time")
        pairs = match_even(clocks) if even else match_nearest(clocks)
    for name, times, places in zip(("visible", "infrared"), (visible, infrared), zip(*pairs, strict=True), strict=True):
        ends = times[places[0]] - times[0], times[-1] - times[places[-1]]
        if max(ends) > 1 / min(rate, other):
            print(f"the recordings differ in time: frames {places[0] + 1} to {places[-1] + 1} of {name} are used")
    return pairs


def match_even(clocks: Sequence[tuple[np.ndarray, float]]) -> list[tuple[int, int]]:
    """For two constant rates."""
    (visible, rate), (infrared, other) = clocks
    pace, last = other / rate, len(infrared) - 1
    used = range(min(len(visible), int((last + 0.5) / pace) + 1))
    return [(k, min(round(k * pace), last)) for k in used]


def match_nearest(clocks: Sequence[tuple[np.ndarray, float]]) -> list[tuple[int, int]]:
    """By the times alone. Frames before the first and behind the last one of the other recording are left out."""
    (visible, rate), (infrared, other) = clocks
    margin = 0.5 / min(rate, other)
    shown = np.flatnonzero((visible >= infrared[0] - margin) & (visible <= infrared[-1] + margin))
    after = np.searchsorted(infrared, visible[shown]).clip(1, max(1, len(infrared) - 1))
    before, after = after - 1, np.minimum(after, len(infrared) - 1)
    nearer = np.abs(infrared[after] - visible[shown]) + TIE < np.abs(visible[shown] - infrared[before])
    return list(zip(shown.tolist(), np.where(nearer, after, before).tolist(), strict=True))

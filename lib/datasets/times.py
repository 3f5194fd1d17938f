"""When the frames of a recording were taken: by its file, by the time stamps in the names of images, or by a rate.

N frames of one recording, in seconds.
"""

import logging
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np

log = logging.getLogger(__name__)

STAMPS, ASSUMED = "stamps", "assumed"  # the names of the images tell the times; nothing does
ASSUMED_RATE = 25.0  # frames per second where nothing tells it
SANE_RATES = (1 / 3600, 1000.0)  # frames per second of a recording; others come from a wrong header
SAME_HEADER = 0.02  # relative difference up to which a file's rate is that of its frames
TIE = 1e-6  # seconds by which one of two frames must be nearer than the other
_SECONDS = re.compile(r"(?<!\d)(1\d{9})(?:(?P<point>\.)(\d+)|_?(\d{3}|\d{6}|\d{9}))?$")  # since 1970
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d)[-_.T ]*([0-2]\d[-_.:h]?[0-5]\d[-_.:m]?[0-5]\d)"
    r"(?:(?P<point>[.,])(\d{1,9})|[-_]?(\d{3}|\d{6}|\d{9}))?Z?$"
)
_HOURS = re.compile(
    r"(?<!\d)(?<!\d[-_.T ])()([0-2]\d[-:h][0-5]\d[-:m][0-5]\d)(?:(?P<point>[.,])(\d{1,9})|[-_](\d{3}|\d{6}))?$"
)


class Clock(NamedTuple):
    """The times of the frames of one recording."""

    times: np.ndarray  # [N] float64, ascending
    rate: float  # usual number of frames per second
    source: str = ""  # STAMPS or ASSUMED; "": the recording or the user tells the times

    @property
    def regular(self) -> bool:
        """Whether the frames come at a constant rate: none is half a frame too early or too late."""
        even = np.arange(len(self.times)) / self.rate
        return bool((np.abs(self.times - self.times[0] - even) <= 0.5 / self.rate).all())


def even_clock(length: int, rate: float | None = None) -> Clock:
    """A constant rate; ASSUMED_RATE where it is not known."""
    return Clock(np.arange(length) / (rate or ASSUMED_RATE), rate or ASSUMED_RATE, "" if rate else ASSUMED)


def is_sane(rate: float) -> bool:
    """Whether a camera can have so many frames per second."""
    return bool(SANE_RATES[0] <= rate <= SANE_RATES[1])


def file_clock(times: np.ndarray, header: float, path: Path) -> Clock | None:
    """The clock of a video file; None where neither its times nor its rate can be true, which is said.

    times: [N] of its frames; header: frames per second that the file states.
    """
    steps = np.diff(times)
    usual = 1 / max(float(np.median(steps)), 1e-9) if steps.size and (steps >= 0).all() else 0.0
    if is_sane(usual):
        mean = len(steps) / (times[-1] - times[0])
        rate = header if any(abs(found / header - 1) <= SAME_HEADER for found in (usual, mean) if header > 0) else usual
        if not 0.5 <= header / usual <= 2:
            shown = "%s: says %.6g frames/s, but its frames come at %.4g; their own times are used"
            log.warning(shown, path, header, usual)
        return Clock(times - times[0], rate)
    if is_sane(header):
        return even_clock(len(times), header)
    shown = "%s: says %.6g frames/s, which cannot be, and its frames have no times; %g is taken; --fps tells the rate"
    log.warning(shown, path, header, ASSUMED_RATE)
    return None


def stamp_clock(names: Sequence[str]) -> Clock | None:
    """The clock of a folder whose images are named by time: 1689857632.01.jpg, 1689857632010.png,
    2023-07-20T10-59-56.123.jpg, 10-59-56.png. None for other names, and for times that do not ascend."""
    for pattern in (_SECONDS, _DATE, _HOURS):
        found = [pattern.search(Path(name).stem) for name in names]
        if len(found) < 2 or not all(found):
            continue
        try:
            times = np.array([_seconds(match) for match in found if match])
        except ValueError:  # the 31st of February
            continue
        steps = np.diff(times)
        if (steps > 0).all() and is_sane(rate := 1 / float(np.median(steps))):
            return Clock(times, rate, STAMPS)
    return None


def _seconds(match: re.Match[str]) -> float:
    if match.re is _SECONDS:
        whole, _, decimals, digits = match.groups()
        return float(f"{whole}.{decimals or digits or 0}")
    date, hours, _, decimals, digits = match.groups()
    day = re.sub(r"\D", "", date) or "19700101"
    moment = datetime.strptime(day + re.sub(r"\D", "", hours), "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    return moment.timestamp() + float(f"0.{decimals or digits or 0}")


class Pairs(NamedTuple):
    """Which frames of two recordings belong together."""

    first: np.ndarray  # [N] int, frames of the first recording, in order
    second: np.ndarray  # [N] int, of the second one
    farthest: float  # seconds between the frames of the worst pair


def pair_in_order(clocks: tuple[Clock, Clock]) -> Pairs:
    """Frame k with frame k, for recordings with one rate."""
    both = np.arange(min(len(clock.times) for clock in clocks))
    return Pairs(both, both, 0.0)


def pair_regular(clocks: tuple[Clock, Clock]) -> Pairs:
    """Each frame of the first recording with the nearest of the second, for two constant rates."""
    pace = clocks[1].rate / clocks[0].rate
    last = len(clocks[1].times) - 1
    first = np.arange(min(len(clocks[0].times), int((last + 0.5) / pace) + 1))
    second = np.minimum(np.round(first * pace).astype(int), last)
    return Pairs(first, second, float(np.abs(first / clocks[0].rate - second / clocks[1].rate).max()))


def common_times(clocks: tuple[Clock, Clock]) -> tuple[np.ndarray, np.ndarray]:
    """The times of two recordings on one scale: time stamps as they are where they overlap, else from each one's first
    frame."""
    one, two = (clock.times for clock in clocks)
    stamped = all(clock.source == STAMPS for clock in clocks)
    if stamped and one[0] <= two[-1] and two[0] <= one[-1]:
        return one, two
    return one - one[0], two - two[0]


def are_together(clocks: tuple[Clock, Clock]) -> bool:
    """Whether frame k of one recording is taken with frame k of the other, to half the time between two frames."""
    length = min(len(clock.times) for clock in clocks)
    one, two = (times[:length] for times in common_times(clocks))
    return bool((np.abs(one - two) <= 0.5 / max(clock.rate for clock in clocks)).all())


def pair_nearest(clocks: tuple[Clock, Clock]) -> Pairs:
    """Each frame of the first recording with the nearest in time of the second. Frames before the first and behind the
    last one of that are left out."""
    one, two = clocks
    own, other = common_times(clocks)
    margin = 0.5 / min(one.rate, two.rate)
    first = np.flatnonzero((own >= other[0] - margin) & (own <= other[-1] + margin))
    after = np.searchsorted(other, own[first]).clip(1, max(1, len(other) - 1))
    before = after - 1
    after = np.minimum(after, len(other) - 1)
    nearer = np.abs(other[after] - own[first]) + TIE < np.abs(own[first] - other[before])
    second = np.where(nearer, after, before)
    return Pairs(first, second, float(np.abs(own[first] - other[second]).max()))

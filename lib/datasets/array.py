"""Images as arrays of a program, grey or colour, 8 or 16 bit, converted to the RGB images that networks read.

16-bit values, such as raw thermal ones, become 8 bit by one linear scale for the whole video, so that a brightness
means the same in every frame: a given range, or that of the video's first frame.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from ..core.frame import Streams
from ..core.registry import choose
from .camera import ABSENT, CAMERAS
from .depth import Range, choose_range, say, scale
from .sequence import INFRARED, VISIBLE

log = logging.getLogger(__name__)

ORDERS = ("rgb", "bgr")
_SHOWN = 80  # characters of a wrong box in a message


@dataclass(frozen=True)
class Pixels:
    """How the arrays of one video become pictures. Picklable."""

    order: str = "rgb"  # of the channels
    ranges: Mapping[str, Range] = field(default_factory=dict)  # of the 16-bit streams

    def picture(self, array: ArrayLike, stream: str) -> np.ndarray:
        """[H, W, 3] uint8 RGB; a grey [H, W] becomes three equal channels. Raises InputError as `read_array` does, and
        for 16 bit where the video began with 8."""
        values = read_array(array, stream)
        if values.dtype == np.uint16:
            if stream not in self.ranges:
                raise InputError(f"{stream}: uint16, but the first frame was not; give all frames of a video alike")
            values = scale(values, self.ranges[stream])
        if values.ndim == 2:
            return np.repeat(values[..., None], 3, axis=2)
        return np.ascontiguousarray(values[..., ::-1] if self.order == "bgr" else values)


def choose_pixels(
    first: Mapping[str, ArrayLike], order: str = "rgb", thermal_range: tuple[float, float] | None = None
) -> Pixels:
    """How the arrays of a video are read, from those of its first frame: stream -> array.

    thermal_range: raw values of a 16-bit infrared stream that become 0 and 255. Without it the range of the first frame
    (`lib.datasets.depth`) does, and a warning names it. Raises InputError for an unknown order, an empty range, and
    as `read_array` does.
    """
    order = choose("order", order, ORDERS)
    if thermal_range is not None and not thermal_range[0] < thermal_range[1]:
        raise InputError(f"thermal_range {thermal_range}: expected (low, high) with low < high, in raw values")
    ranges: dict[str, Range] = {}
    for stream, array in first.items():
        values = read_array(array, stream)
        if values.dtype != np.uint16:
            continue
        if stream == INFRARED and thermal_range is not None:
            ranges[stream] = (float(thermal_range[0]), float(thermal_range[1]))
            continue
        ranges[stream] = choose_range([values])
        say(stream, values.dtype, ranges[stream], "those of the first frame")
    return Pixels(order, ranges)


def read_array(array: ArrayLike, stream: str) -> np.ndarray:
    """[H, W] or [H, W, 3], uint8 or uint16. Raises InputError, which names the stream, for anything else."""
    values = np.asarray(array)
    expected = "expected [H, W, 3] or [H, W] of uint8 or uint16"
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3) or not values.size:
        raise InputError(f"{stream}: array of shape {list(values.shape)}; {expected}")
    if values.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{stream}: array of {values.dtype}; {expected}")
    return values


def name_streams(visible: ArrayLike | None, infrared: ArrayLike | None = None) -> dict[str, ArrayLike]:
    """The streams that are there, by name. Raises InputError where both are missing."""
    given = {name: array for name, array in ((VISIBLE, visible), (INFRARED, infrared)) if array is not None}
    if not given:
        raise InputError("no image: give a visible one, an infrared one, or both")
    return given


def complete(pictures: Mapping[str, np.ndarray], reads: Streams) -> tuple[list[np.ndarray], list[str]]:
    """One picture for each stream that a tracker reads, black for one that is missing, as in
    `lib.datasets.camera`; and lines that say what is left out or missing."""
    if reads.modalities == 1:
        other = VISIBLE if reads.single == INFRARED else INFRARED
        left = [f"this network reads the {reads.single} image alone; the {other} one is left"]
        return [pictures.get(reads.single, next(iter(pictures.values())))], left if len(pictures) > 1 else []
    absent = np.full_like(next(iter(pictures.values())), ABSENT)
    missing = [name for name in CAMERAS if name not in pictures]
    lines = [f"no {name} image: the network is given a black one in its place" for name in missing]
    return [pictures.get(name, absent) for name in CAMERAS], lines


class FrameReader:
    """Reads frames for a tracker. It warns once of each stream that is left out or missing."""

    def __init__(self, streams: Streams):
        self.streams = streams
        self._warned: set[str] = set()

    def read(self, visible: ArrayLike | None, infrared: ArrayLike | None, pixels: Pixels) -> list[np.ndarray]:
        """One image [H, W, 3] uint8 RGB per modality. Raises InputError as `name_streams` and `Pixels.picture` do."""
        streams = name_streams(visible, infrared)
        return self.complete({name: pixels.picture(array, name) for name, array in streams.items()})

    def complete(self, pictures: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """One image per modality, from the streams that there are."""
        images, lines = complete(pictures, self.streams)
        for line in lines:
            if line not in self._warned:
                log.warning(line)
                self._warned.add(line)
        return images


def read_box(box: ArrayLike) -> np.ndarray:
    """[4] float64. Raises InputError for anything but four numbers."""
    try:
        values = np.asarray(box, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (4,):
        shown = " ".join(repr(box).split())[:_SHOWN]
        raise InputError(f"box {shown}: expected four numbers: x, y, width, height in pixels")
    return values

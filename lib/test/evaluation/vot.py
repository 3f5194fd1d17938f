"""The VOT toolkit's interface: images and first regions arrive by the TraX protocol, boxes or masks are sent
back.

Cehovin Zajc, TraX: The visual Tracking eXchange protocol and library, Neurocomputing 2017. The package `trax` is an
argument, so that it is only needed where the toolkit is used.
"""

import configparser
import importlib
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...core.target import Target
from ...datasets.image import read_image
from ...datasets.readers.vot import polygons_to_boxes
from ...datasets.sequence import range_of_files
from ..tracker.protocol import Tracker

CHANNELS = ("color", "ir")  # TraX's names of the visible and the infrared images
REGISTRY = "trackers.ini"
TIMEOUT = 300  # seconds; loading a large network on a CPU takes longer than the toolkit's default of 30


def import_trax() -> Any:
    """The Python binding of TraX. Raises InputError when this Python does not have it."""
    try:
        trax = importlib.import_module("trax")
        found = hasattr(trax, "Server")  # another package has the same name
    except (ImportError, OSError):  # OSError: built for another system
        found = False
    if not found:
        remedy = f'{shlex.quote(sys.executable)} -m pip install "vot-trax>=4"'
        raise InputError(f"this Python cannot speak to the VOT toolkit; install the package for it: {remedy}")
    return trax


def serve(
    tracker: Tracker, trax: Any, channels: Sequence[str], name: str = "", *, threshold: float | None = None
) -> None:
    """Answer the toolkit's requests until it ends the session: any number of videos, with any number of targets each.

    channels: the CHANNELS that the tracker reads. threshold: pixels above this probability make the masks that are
    sent; None: boxes are sent. Raises InputError for an unusable image or region and when the connection breaks; the
    reason is sent to the toolkit.
    """
    formats = [trax.Region.RECTANGLE, trax.Region.POLYGON, trax.Region.MASK]
    server = trax.Server(formats, [trax.Image.PATH], list(channels), name, multiobject=True)
    try:
        _answer(tracker, trax, server, channels, threshold)
    except trax.TraxException as error:
        raise InputError(f"the connection to the VOT toolkit broke: {error}") from None
    except Exception as error:
        server.quit(str(error))
        raise


def _answer(tracker: Tracker, trax: Any, server: Any, channels: Sequence[str], threshold: float | None) -> None:
    targets: list[Target] = []
    while (request := server.wait()).type != trax.TraxStatus.QUIT:
        images = [read_frame_image(Path(request.image[channel].path())) for channel in channels]
        if request.type == trax.TraxStatus.INITIALIZE:
            targets = []
        if targets:
            targets = tracker.track(targets, [images] * len(targets))
        boxes = [_box_of(region, trax) for region, _ in request.objects or []]
        if boxes:
            names = [f"object {len(targets) + place}" for place in range(len(boxes))]
            targets = targets + tracker.start([images] * len(boxes), boxes, names)
        size = images[0].shape[:2]
        server.status([_state_of(target, trax, threshold, size) for target in targets])


def read_frame_image(path: Path) -> np.ndarray:
    """One image of a video; one of 16 bit by the range of the images beside it."""
    return read_image(path, span=lambda: range_of_files(sorted(path.parent.glob(f"*{path.suffix}"))))


def _box_of(region: Any, trax: Any) -> np.ndarray:
    """The region as a box, [4] xywh pixels. A polygon becomes a box by the rule of `polygons_to_boxes`, a mask becomes
    the upright rectangle around its pixels."""
    if region.type == trax.Region.POLYGON:
        corners = [region.get(place) for place in range(region.size())]
        return polygons_to_boxes(np.array(corners, np.float64).reshape(1, -1))[0]
    if region.type == trax.Region.MASK:
        rows, columns = np.nonzero(region.array())
        if not len(rows):
            return np.zeros(4)
        corner = np.add(region.offset(), (columns.min(), rows.min()))
        return np.array([*corner, np.ptp(columns) + 1, np.ptp(rows) + 1], np.float64)
    return np.array(region.bounds(), np.float64)


def _state_of(
    target: Target, trax: Any, threshold: float | None, size: tuple[int, int]
) -> tuple[Any, dict[str, float]]:
    """The box, the rotated one where a target has one, or the mask in a frame of this height and width; and the
    confidence for the toolkit's long-term measures. The mask of a target that has none is empty."""
    if threshold is None and target.corners is not None:
        region = trax.Polygon.create([(float(x), float(y)) for x, y in target.corners])
    elif threshold is None:
        region = trax.Rectangle.create(*map(float, target.box))
    else:
        inside = np.zeros(size, bool) if target.mask is None else target.mask.in_frame(size) > threshold
        region = trax.Mask.create(inside.astype(np.uint8))
    return region, {"confidence": target.score}


def add_to_workspace(workspace: str | Path, identifier: str, label: str, command: Sequence[str]) -> Path:
    """Add a tracker to the list in a workspace of the toolkit; returns the list's path. Existing entries do not change.

    command: starts the tracker, with absolute paths, since the toolkit runs it in another folder.
    Raises InputError for a missing workspace, an unreadable list, and a name that exists already or is not allowed.
    """
    path = Path(workspace) / REGISTRY
    if not path.parent.is_dir():
        remedy = f"make the workspace first, for example: vot initialize vot2020/rgbtir --workspace {workspace}"
        raise InputError(f"--register {workspace}: folder does not exist; {remedy}")
    if re.fullmatch(r"[a-zA-Z0-9_-]+", identifier) is None:
        raise InputError(f"--name {identifier}: the toolkit takes letters, digits, - and _ only")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    known = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        known.read_string(text)
    except configparser.Error as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; correct the file") from None
    if known.has_section(identifier):
        raise InputError(f"{path}: [{identifier}] is there already; remove it or choose another --name")
    entry = {"label": label, "protocol": "trax", "command": shlex.join(command), "timeout": str(TIMEOUT)}
    lines = [f"{key} = {value.replace('%', '%%')}" for key, value in entry.items()]  # a lone % is the toolkit's syntax
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    with write_atomically(path) as temporary:
        temporary.write_text(text + gap + "\n".join([f"[{identifier}]", *lines]) + "\n", encoding="utf-8")
    return path

"""A tracker as the VOT toolkit runs it: images and first regions come over the TraX protocol, boxes go back.

Cehovin Zajc, TraX: The visual Tracking eXchange protocol and library, Neurocomputing 2017. The package that speaks the
protocol is handed in, so that only those who run the toolkit need it.
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
from ..tracker.protocol import Tracker

CHANNELS = ("color", "ir")  # TraX's names of the visible and the infrared images
REGISTRY = "trackers.ini"
TIMEOUT = 300  # seconds; a large network on a CPU needs more than the toolkit's 30 to be built


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


def serve(tracker: Tracker, trax: Any, channels: Sequence[str], name: str = "") -> None:
    """Do what the toolkit asks until it ends the session: any number of videos, with any number of targets each.

    channels: those of CHANNELS that the tracker is to see. Raises InputError for an unusable image or region and when
    the connection breaks; the toolkit is told the reason.
    """
    formats = [trax.Region.RECTANGLE, trax.Region.POLYGON, trax.Region.MASK]
    server = trax.Server(formats, [trax.Image.PATH], list(channels), name, multiobject=True)
    try:
        _answer(tracker, trax, server, channels)
    except trax.TraxException as error:
        raise InputError(f"the connection to the VOT toolkit broke: {error}") from None
    except Exception as error:
        server.quit(str(error))
        raise


def _answer(tracker: Tracker, trax: Any, server: Any, channels: Sequence[str]) -> None:
    targets: list[Target] = []
    while (request := server.wait()).type != trax.TraxStatus.QUIT:
        images = [read_image(request.image[channel].path()) for channel in channels]
        if request.type == trax.TraxStatus.INITIALIZE:
            targets = []
        if targets:
            targets = tracker.track(targets, [images] * len(targets))
        boxes = [_box_of(region, trax) for region, _ in request.objects or []]
        if boxes:
            names = [f"object {len(targets) + place}" for place in range(len(boxes))]
            targets = targets + tracker.start([images] * len(boxes), boxes, names)
        server.status([_state_of(target, trax) for target in targets])


def _box_of(region: Any, trax: Any) -> np.ndarray:
    """[4] xywh pixels. A polygon becomes a box by the rule that VOT's sequences are read with here, a mask the upright
    rectangle around its pixels."""
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


def _state_of(target: Target, trax: Any) -> tuple[Any, dict[str, float]]:
    """What the toolkit stores: the box, and the confidence that its long-term measures read."""
    return trax.Rectangle.create(*map(float, target.box)), {"confidence": target.score}


def add_to_workspace(workspace: str | Path, identifier: str, label: str, command: Sequence[str]) -> Path:
    """Add a tracker to the toolkit's list in a workspace and return the list's path; what is there stays as it is.

    command: what starts the tracker, with absolute paths, since the toolkit runs it in a folder of its own.
    Raises InputError for a missing workspace, an unreadable list and a name that is taken or not allowed.
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

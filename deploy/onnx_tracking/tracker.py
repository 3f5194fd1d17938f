"""The tracker: two graphs of tracking/export.py by ONNX Runtime.

M modalities (1: visible; 2: visible and infrared), S side of a crop, pixels. Boxes are x y w h, pixels.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from .crops import (
    clip,
    clip_centre,
    context_side,
    cut,
    cut_stretched,
    cut_with_context,
    mean_colour,
    whole_box,
)
from .errors import InputError


class Target:
    """The state of one target. One `OnnxTracker` tracks any number of targets."""

    def __init__(self, box: np.ndarray, memory: dict[str, np.ndarray]):
        self.box = box  # [4] float64
        self.memory = memory  # outputs of the template graph
        self.bias = np.ones(2)  # factors by which the network overestimates width and height
        self.fill = np.zeros(0, np.uint8)  # [3 M] padding colour of stretched crops and of those with context
        self.shift = 0.0  # pixels from the box's centre to that of the next crop with context
        self.score = 1.0
        self.age = 0  # frames since the first one


class OnnxTracker:
    """The two graphs of tracking/export.py, with their crops and settings."""

    def __init__(self, folder: str | Path, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0):
        """providers: of ONNX Runtime, such as CUDAExecutionProvider; threads: 0 for one per core."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        paths = [Path(folder, name) for name in ("template.onnx", "search.onnx")]
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: does not exist; make it with tracking/export.py")
        try:
            self.first, self.second = (
                onnxruntime.InferenceSession(str(path), options, providers=list(providers)) for path in paths
            )
            about = json.loads(self.second.get_modelmeta().custom_metadata_map["rgbt_tracking"])
        except Exception as error:  # ONNX Runtime's own kinds have no common class
            first = str(error).splitlines()[0]
            raise InputError(f"{folder}: not two graphs of tracking/export.py ({first}); export them again") from None
        self.stretched = about["geometry"] == "StretchedGeometry"  # FEAR, IIMF lite
        check_rules(folder, about)
        self.modalities: int = about["modalities"]
        self.template_size, self.search_size = about["template_size"], about["search_size"]
        self.template_factor, self.search_factor = about.get("template_factor"), about.get("search_factor")
        self.context: float | None = about.get("context")  # share of w + h around the target in crops with context
        self.margin: int = about["margin"]
        self.calibrates, self.size_rate = about.get("calibrates", False), about.get("size_rate", 1.0)
        self.hold_score: float = about.get("hold_score", 0.0)
        self.update_interval: int = about.get("template_update_interval", 0)
        self.update_share, self.update_score = about.get("template_update_share"), about.get("template_update_score")
        self.black_template = about.get("template_padding") == "black"
        self.own_colour = about.get("flat_padding") == "own"
        self.stream: str = about.get("stream", "visible")
        self.missing_infrared: str = about.get("missing_infrared", "grey copy")

    def start(self, frame: np.ndarray, box: Sequence[float]) -> Target:
        """A target in its first frame. frame: [H, W, 3 M] uint8 RGB, see `join`; box: x y w h."""
        first = np.array(box, np.float64)
        warn_of_corners(first, *frame.shape[:2])
        if self.stretched:
            return self.start_stretched(frame, first)
        if self.context is not None:
            return self.start_with_context(frame, first)
        crop, scale = cut(frame, first, self.template_factor, self.template_size)
        middle = (self.template_size - 1) / 2 / self.template_size
        inside = np.array([middle, middle, *(first[2:] * scale / self.template_size)])
        target = Target(first, run(self.first, {"template": crop[None], "box": inside[None].astype(np.float32)}))
        if self.calibrates:
            found, prior, *_ = self.predict(target, frame)
            if np.isfinite(found).all() and (np.abs(found[:2] - 0.5) < prior / 2).all():
                target.bias = np.clip(found[2:4] / prior, 0.5, 2)
        return target

    def track(self, target: Target, frame: np.ndarray) -> np.ndarray:
        """Track the target in the next frame. Returns its box [4]; `target.score` is the network's confidence."""
        if self.stretched:
            return self.track_stretched(target, frame)
        if self.context is not None:
            return self.track_with_context(target, frame)
        answer, prior, side, learned = self.predict(target, frame)
        size = answer[2:4]
        if self.calibrates or self.size_rate != 1:
            size = prior * (np.maximum(size, 0) / target.bias / prior) ** self.size_rate
        corner = target.box[:2] + target.box[2:] / 2 - side / 2
        found = np.concatenate([corner + (answer[:2] - size / 2) * side, size * side])
        target.score = float(answer[4])
        target.memory |= learned
        target.box = clip(found, frame.shape[0], frame.shape[1], self.margin)
        return target.box

    def predict(self, target: Target, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, dict[str, np.ndarray]]:
        """Output of the network [5] (cx cy w h in units of the crop's side; score), the size before [2] (w h) in these
        units, the side of the crop in pixels of the frame, and what the network learned."""
        crop, scale = cut(frame, target.box, self.search_factor, self.search_size)
        prior = target.box[2:] * scale / self.search_size
        answer, learned = self.search(target, crop, prior)
        said = np.append(answer["boxes"][0], answer["scores"][0]).astype(np.float64)
        return said, prior, self.search_size / scale, learned

    def search(
        self, target: Target, crop: np.ndarray, prior: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Output of the search graph, and what of the target's memory it learned anew."""
        given = {**target.memory, "search": crop[None], "prior": prior[None].astype(np.float32)}
        answer = run(self.second, given)
        return answer, {name.removeprefix("new_"): answer[name] for name in answer if name.startswith("new_")}

    def start_stretched(self, frame: np.ndarray, first: np.ndarray) -> Target:
        """As `start`, with crops that keep no aspect ratio."""
        target = Target(first, {})
        target.fill = mean_colour(frame)
        target.memory = self.read_template(target, frame)
        return target

    def read_template(self, target: Target, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Output of the template graph for the target's box."""
        box, around = target.box, np.rint(target.box)
        own = self.padding(frame, np.zeros_like(target.fill) if self.black_template else target.fill)
        crop, extent = cut_stretched(frame, around, self.template_factor, self.template_size, own)
        shift = (box[:2] + box[2:] / 2 - around[:2] - around[2:] / 2) / extent
        middle = (self.template_size - 1) / 2 / self.template_size
        inside = np.concatenate([middle + shift, box[2:] / extent])
        return run(self.first, {"template": crop[None], "box": inside[None].astype(np.float32)})

    def track_stretched(self, target: Target, frame: np.ndarray) -> np.ndarray:
        """As `track`, with crops that keep no aspect ratio. A box whose score is below `hold_score` stays."""
        around = whole_box(target.box)
        crop, extent = cut_stretched(
            frame, around, self.search_factor, self.search_size, self.padding(frame, target.fill)
        )
        answer, learned = self.search(target, crop, around[2:] / extent)
        target.memory |= learned
        box, target.score = answer["boxes"][0].astype(np.float64), float(answer["scores"][0])
        target.age += 1
        if not (np.isfinite(box).all() and np.isfinite(target.score)):
            target.box, target.score = around, 0.0
        elif target.score < self.hold_score:
            target.box = around
        else:
            centre, size = around[:2] + around[2:] / 2 + (box[:2] - 0.5) * extent, box[2:] * extent
            found = whole_box(np.concatenate([centre - size / 2, size]))
            target.box = clip(found, frame.shape[0], frame.shape[1], self.margin)
            if self.update_interval and target.age % self.update_interval == 0 and target.score >= self.update_score:
                self.update_template(target, frame)
        return target.box

    def update_template(self, target: Target, frame: np.ndarray) -> None:
        """Blend the features of a new template into the target's. With two cameras only where both show something."""
        flat = any((image == image[0, 0]).all() for image in np.split(frame, self.modalities, axis=2))
        if self.own_colour and (flat or target.memory["absent"].any()):
            return
        fresh = self.read_template(target, frame)
        if self.own_colour and fresh["absent"].any():
            return
        old = target.memory["features"]
        target.memory = target.memory | {"features": old + np.float32(self.update_share) * (fresh["features"] - old)}

    def start_with_context(self, frame: np.ndarray, first: np.ndarray) -> Target:
        """As `start`, with squares of the target and its context (SiamRPN++, SiamMask, SiamDMA)."""
        target = Target(first, {})
        target.fill, target.shift = mean_colour(frame), -0.5
        side = math.floor(context_side(first, self.context) + 0.5)
        crop = cut_with_context(frame, first[:2] + first[2:] / 2 - 0.5, side, self.template_size, target.fill)
        target.memory = run(self.first, {"template": crop[None]})
        return target

    def track_with_context(self, target: Target, frame: np.ndarray) -> np.ndarray:
        """As `track`, with squares of the target and its context."""
        side = context_side(target.box, self.context) * self.search_size / self.template_size
        middle = target.box[:2] + target.box[2:] / 2 + target.shift
        crop = cut_with_context(frame, middle, side, self.search_size, target.fill)
        answer, _ = self.search(target, crop, target.box[2:] / side)
        box, target.score = answer["boxes"][0].astype(np.float64), float(answer["scores"][0])
        if np.isfinite(box).all() and np.isfinite(target.score):
            target.box = clip_centre(middle + (box[:2] - 0.5) * side, box[2:] * side, *frame.shape[:2], self.margin)
        else:
            target.box, target.score = target.box + np.array([target.shift, target.shift, 0, 0]), 0.0
        target.shift = 0.0
        return target.box

    def padding(self, frame: np.ndarray, fill: np.ndarray) -> np.ndarray:
        """The padding colour [3 M]: of an image of one colour that colour, where the network leaves such images out."""
        if not self.own_colour:
            return fill
        fill = fill.copy()
        for k in range(0, 3 * self.modalities, 3):
            image = frame[..., k : k + 3]
            if (image == image[0, 0]).all():
                fill[k : k + 3] = image[0, 0]
        return fill


def check_rules(folder: str | Path, about: dict[str, object]) -> None:
    """Raise InputError for graphs whose crops or rules of tracking are not followed here."""
    if about["geometry"] not in ("FamilyGeometry", "StretchedGeometry", "ContextGeometry"):
        raise InputError(
            f"{folder}: {about['geometry']} crops are not supported here; see docs/export.md of the toolbox"
        )
    if about.get("box", "proposal") != "proposal":
        raise InputError(
            f"{folder}: TEST.BOX is {about['box']}, which is not followed here; export again with proposal"
        )
    if about.get("motion"):
        raise InputError(f"{folder}: TEST.MOTION is {about['motion']}, which is not followed here; export again with 0")


def run(session: onnxruntime.InferenceSession, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a graph by name. Values that are no input of the graph are ignored."""
    wanted = {value.name: given[value.name] for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, wanted), strict=True))


def warn_of_corners(box: np.ndarray, height: int, width: int) -> None:
    """Say that a box sticks out of its frame, but lies inside when it is read as two corners."""
    x, y, w, h = box
    if (x + w > width or y + h > height) and 0 <= x < w <= width and 0 <= y < h <= height:
        print(
            f"box {x:g},{y:g},{w:g},{h:g} sticks out of its {width}x{height} image and looks like x1,y1,x2,y2; if it "
            f"is, give x,y,w,h: {x:g},{y:g},{w - x:g},{h - y:g}",
            file=sys.stderr,
        )

r"""Track with ONNX Runtime, NumPy and OpenCV, without PyTorch and without the rest of this repository.

    python tracking/export.py iimf_track tiny --out output/tiny_onnx
    python deploy/track_onnx.py output/tiny_onnx --visible docs/demo_sequence/visible \
        --infrared docs/demo_sequence/infrared --box 517,106,114,324 --out output/boxes.txt

Copy this file beside template.onnx and search.onnx; it needs no other file. A source is a folder of images or a video.
Boxes are x y w h, pixels.
M modalities (1: visible; 2: visible and infrared), S side of a crop, pixels.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))  # a file of 631 bytes can state 4 billion

import cv2  # noqa: E402  reads the limit when it is imported
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

SAME_RATE, SAME_ASPECT = 0.01, 0.02  # relative differences up to which two recordings agree
SAME_HEADER = 0.02  # relative difference up to which a file's rate is that of its frames
FOLDER_RATE, SANE_RATES = 25.0, (1 / 3600, 1000.0)  # frames per second: of folders, and those that a file may state
TIE = 1e-6  # seconds by which one of two frames must be nearer than the other
HALF = 0.5  # share of the images of the shorter folder; with fewer shared numbers the numbers are taken for unrelated
MOST_LOST, LEAST_TRIES = 1000, 8  # damaged frames in a row after which a video has ended; tries at its stated end
GREY_16 = 0x10003159  # FFmpeg's code of 16-bit grey pixels, which OpenCV would cut to 8 bit
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
DIGITS = re.compile(r"(\d+)")
STAMPS = (  # times in names: seconds since 1970; date and time; time. Groups: date, time, decimals
    re.compile(r"(?<!\d)()(1\d{9})(?:\.(\d+)|_?(\d{3}|\d{6}|\d{9}))?$"),
    re.compile(
        r"(?<!\d)((?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d)[-_.T ]*([0-2]\d[-_.:h]?[0-5]\d[-_.:m]?[0-5]\d)"
        r"(?:[.,](\d{1,9})|[-_]?(\d{3}|\d{6}|\d{9}))?Z?$"
    ),
    re.compile(r"(?<!\d)(?<!\d[-_.T ])()([0-2]\d[-:h][0-5]\d[-:m][0-5]\d)(?:[.,](\d{1,9})|[-_](\d{3}|\d{6}))?$"),
)
COPY = re.compile(r"(?:copy of )?(.+?)(?: ?\(\d+\)|[ _-]+(?:copy|kopie|copie|copia)(?: ?\(?\d+\)?)?)?")
COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH  # 16 bit stays 16 bit


class InputError(ValueError):
    """Something that the user gave cannot be used; the message is one line."""


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
        given = {**target.memory, "search": crop[None], "prior": prior[None].astype(np.float32)}
        answer = run(self.second, given)
        learned = {name.removeprefix("new_"): answer[name] for name in answer if name.startswith("new_")}
        said = np.append(answer["boxes"][0], answer["scores"][0]).astype(np.float64)
        return said, prior, self.search_size / scale, learned

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
        prior = (around[2:] / extent).astype(np.float32)
        answer = run(self.second, {**target.memory, "search": crop[None], "prior": prior[None]})
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
        prior = (target.box[2:] / side).astype(np.float32)
        answer = run(self.second, {**target.memory, "search": crop[None], "prior": prior[None]})
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


def cut(image: np.ndarray, box: np.ndarray, factor: float, size: int) -> tuple[np.ndarray, float]:
    """The square of side factor * sqrt(w h) around a box, black outside the image: [S, S, C] and its S / side."""
    x, y, w, h = box
    side = math.ceil(math.sqrt(w * h) * factor)
    x1, y1 = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    height, width = image.shape[:2]
    left, top = max(0, -x1), max(0, -y1)
    # The last column and row of the image are left out, as in training.
    right, bottom = max(0, x1 + side - width + 1), max(0, y1 + side - height + 1)
    if left + right >= side or top + bottom >= side:
        raise InputError(f"box {box} lies outside its {width}x{height} image")
    inside = image[y1 + top : y1 + side - bottom, x1 + left : x1 + side - right]
    square = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return cv2.resize(square, (size, size)), size / side


def cut_stretched(
    image: np.ndarray, box: np.ndarray, factor: float, size: int, fill: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rectangle `factor` times as wide and as high as a box, of colour `fill` [C] outside the image: [S, S, C] and
    its width and height in pixels of the image [2]."""
    extent = np.maximum(np.rint(box[2:] * factor), 1).astype(int)
    x, y = np.rint(box[:2] + box[2:] / 2 - extent / 2).astype(int).tolist()
    return cut_rectangle(image, (x, y), extent, size, fill), extent


def cut_with_context(image: np.ndarray, centre: np.ndarray, side: float, size: int, fill: np.ndarray) -> np.ndarray:
    """The square of `side` pixels, rounded, around a place x y, of colour `fill` [C] outside the image: [S, S, C]."""
    whole = math.floor(side + 0.5)
    x, y = np.floor(centre - (whole + 1) / 2 + 0.5).astype(int).tolist()
    return cut_rectangle(image, (x, y), np.array([whole, whole]), size, fill)


def cut_rectangle(
    image: np.ndarray, corner: tuple[int, int], extent: np.ndarray, size: int, fill: np.ndarray
) -> np.ndarray:
    """The rectangle of this width and height from a column and row on, of colour `fill` outside the image: [S, S, C]"""
    x, y = corner
    width, height = extent.tolist()
    part = image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if not part.size:
        return np.broadcast_to(fill, (size, size, fill.size)).copy()
    whole = np.empty((height, width, fill.size), np.uint8)
    whole[:] = fill
    top, left = max(0, -y), max(0, -x)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole if extent.tolist() == [size, size] else cv2.resize(whole, (size, size))


def context_side(box: np.ndarray, context: float) -> float:
    """Side of the square of a box and its context: sqrt((w + p) (h + p)) with p = context (w + h)."""
    padding = context * (box[2] + box[3])
    return math.sqrt((box[2] + padding) * (box[3] + padding))


def mean_colour(frame: np.ndarray) -> np.ndarray:
    """The mean of each channel, rounded down: [H, W, 3 M] -> [3 M] uint8"""
    images = np.split(frame, frame.shape[2] // 3, axis=2)
    return np.concatenate([image.mean(axis=(0, 1)).astype(np.uint8) for image in images])


def whole_box(box: np.ndarray) -> np.ndarray:
    """A box of whole pixels, at least one wide and high."""
    rounded = np.rint(box)
    return np.concatenate([rounded[:2], np.maximum(rounded[2:], 1)])


def clip(box: np.ndarray, height: int, width: int, margin: int) -> np.ndarray:
    """Clip a box so that at least `margin` pixels of width and height are inside the image."""
    limits = np.array([width, height], np.float64)
    low = np.clip(box[:2], 0, limits - margin)
    high = np.clip(box[:2] + box[2:], margin, limits)
    return np.concatenate([low, np.maximum(high - low, margin)])


def clip_centre(centre: np.ndarray, size: np.ndarray, height: int, width: int, margin: int) -> np.ndarray:
    """The box whose centre is moved into the image, and whose sides are made at least `margin` and at most those of
    the image."""
    limits = np.array([width, height], np.float64)
    extent = np.clip(size, margin, limits)
    return np.concatenate([np.clip(centre, 0, limits) - extent / 2, extent])


def warn_of_corners(box: np.ndarray, height: int, width: int) -> None:
    """Say that a box sticks out of its frame, but lies inside when it is read as two corners."""
    x, y, w, h = box
    if (x + w > width or y + h > height) and 0 <= x < w <= width and 0 <= y < h <= height:
        print(
            f"box {x:g},{y:g},{w:g},{h:g} sticks out of its {width}x{height} image and looks like x1,y1,x2,y2; if it "
            f"is, give x,y,w,h: {x:g},{y:g},{w - x:g},{h - y:g}",
            file=sys.stderr,
        )


def join(images: Sequence[np.ndarray]) -> np.ndarray:
    """One frame from an image per modality: M times [H, W, 3] BGR as OpenCV reads them -> [H, W, 3 M] RGB."""
    return cv2.merge([channel for image in images for channel in cv2.split(image)[::-1]])


def decode(path: Path, flags: int) -> np.ndarray | None:
    """An image file as OpenCV reads it; None where it is damaged, of another kind, or states too many pixels."""
    try:  # imread of OpenCV 5.0 cannot transpose TIFF files, which their orientation tag may ask for
        return cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except cv2.error:
        return None


def load(path: Path) -> np.ndarray | None:
    """An image file as it is stored: [H, W, 3] BGR of uint8, uint16 or, for floats and signed numbers, float32; None
    for an unreadable file."""
    image = decode(path, COLOUR)
    if image is None:  # OpenCV reads no floats as colours
        image = decode(path, cv2.IMREAD_UNCHANGED)
    if image is None or (image.ndim == 3 and image.dtype in (np.uint8, np.uint16)):
        return image
    image = np.nan_to_num(image.astype(np.float32), nan=float(np.nanmedian(image)))
    return image if image.ndim == 3 else cv2.merge([image] * 3)


def read_image(path: Path, span: tuple[float, float] | None) -> np.ndarray | None:
    """[H, W, 3] uint8 BGR; None for an unreadable file. span: as `measure_range` returns it."""
    image = load(path)
    if image is None or image.dtype == np.uint8:
        return image
    if span is None:
        return (image.clip(0, 65535) // 256).astype(np.uint8)
    return ((image.astype(np.float32) - span[0]) * (255 / (span[1] - span[0]))).clip(0, 255).round().astype(np.uint8)


def measure_range(paths: Sequence[Path]) -> tuple[float, float] | None:
    """The values of more than 8 bit that become 0 and 255 in all images of a folder, by the rule of
    lib/datasets/depth.py. None: there are none, or all of the range of 16 bit is used and the high byte serves."""
    picked = np.unique(np.linspace(0, len(paths) - 1, min(16, len(paths))).round().astype(int))
    kept = read_deep([paths[index] for index in picked]) or read_deep(paths)[:16]
    if not any((values % 256).any() and (values % 257).any() for values in kept):
        return None
    tails = [len(values) // 10000 for values in kept]
    low = sorted(float(values[tail]) for values, tail in zip(kept, tails, strict=True))[len(kept) // 8]
    high = sorted(float(values[-1 - tail]) for values, tail in zip(kept, tails, strict=True))[-1 - len(kept) // 8]
    if high - low >= 1 << 14 and kept[0].dtype == np.uint16:
        return None
    kind = "16-bit" if kept[0].dtype == np.uint16 else "float"
    print(f"{paths[0].parent}: {kind} values {low:g} to {high:g} become 0 to 255 in the whole video")
    return low, max(high, low + 1)


def read_deep(paths: Sequence[Path]) -> list[np.ndarray]:
    """The sorted values of each image of more than 8 bit, without its border and single pixels that stick out."""
    found = []
    for path in paths:
        image = load(path)
        if image is None or image.dtype == np.uint8:
            continue
        rows, columns = image.shape[0] // 32, image.shape[1] // 32
        if rows and columns:
            image = cv2.medianBlur(np.ascontiguousarray(image[rows:-rows, columns:-columns]), 3)
        found.append(np.sort(image, axis=None))
    return found


class Images:
    """The images of a folder as a recording."""

    def __init__(self, paths: Sequence[Path]):
        self.paths, self.span = paths, measure_range(paths)

    def clock(self) -> tuple[np.ndarray, float]:
        """The time of each frame in seconds from the first one, and frames per second: as the names of the images tell,
        else the rate that is taken for folders."""
        stamps = read_stamps(self.paths)
        if stamps is None:
            return np.arange(len(self.paths)) / FOLDER_RATE, FOLDER_RATE
        return stamps - stamps[0], rate_of(stamps)

    def read(self, index: int) -> np.ndarray | None:
        """[H, W, 3] uint8 BGR; None behind the last one."""
        if index >= len(self.paths):
            return None
        image = read_image(self.paths[index], self.span)
        if image is None:
            where = self.paths[index]
            raise InputError(f"{where}: image cannot be decoded; it is damaged, or larger than 134 million pixels")
        return image


class Video:
    """A video file, read in order. A frame that cannot be decoded keeps its place and shows the picture before it (at
    the start the one after it)."""

    def __init__(self, path: Path):
        """Reads the whole file once."""
        self.path, self.place = path, -1
        self.capture, scan = cv2.VideoCapture(str(path)), cv2.VideoCapture(str(path))
        self.header, declared = scan.get(cv2.CAP_PROP_FPS), int(scan.get(cv2.CAP_PROP_FRAME_COUNT))
        times, failed = list[float](), 0
        while failed <= min(MOST_LOST, max(LEAST_TRIES, declared - len(times))):
            if scan.grab():
                times += [np.nan] * failed + [scan.get(cv2.CAP_PROP_POS_MSEC) / 1000]
                failed = 0
            else:
                failed += 1
        if not times:
            raise InputError(f"{path}: cannot be read as a video; convert it to mp4 or to a folder of images")
        if int(scan.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) == GREY_16:
            raise InputError(f"{path}: a video of 16-bit values; convert it to a folder of 16-bit images")
        whole, places = np.flatnonzero(np.isfinite(times)), np.arange(len(times))
        self.shown = whole[(np.searchsorted(whole, places, side="right") - 1).clip(0)]
        known = np.array(times)[whole]
        self.times = np.interp(places, whole, known)
        if len(whole) > 1:  # lost frames at the start have times before the first one that is there
            self.times[: whole[0]] -= np.median(np.diff(known) / np.diff(whole)) * np.arange(whole[0], 0, -1)
        lost = len(times) - len(whole)
        if lost:
            print(f"{path}: {lost} of {len(times)} frames are damaged; the picture before stands in their place")
        if declared > len(times):
            if path.suffix.lower() == ".gif":
                raise InputError(f"{path}: the frames of this GIF have no delays; convert it to mp4")
            print(f"{path}: declares {declared} frames, {len(times)} can be read")

    def clock(self) -> tuple[np.ndarray, float]:
        """As `Images.clock`, by the times of the frames; by the file's rate where they do not ascend."""
        steps = np.diff(self.times)
        usual = rate_of(self.times) if len(steps) and (steps >= 0).all() else 0.0
        if not is_sane(usual):
            rate = self.header if is_sane(self.header) else FOLDER_RATE
            return np.arange(len(self.times)) / rate, rate
        mean = len(steps) / (self.times[-1] - self.times[0])
        stated = self.header > 0 and min(abs(rate / self.header - 1) for rate in (usual, mean)) <= SAME_HEADER
        return self.times - self.times[0], self.header if stated else usual

    def read(self, index: int) -> np.ndarray | None:
        """As `Images.read`; `index` is not less than the one before."""
        if index >= len(self.shown):
            return None
        while self.place < self.shown[index]:
            found, self.image = self.capture.read()
            self.place += 1
            if self.place == self.shown[index] and not found:
                raise InputError(f"{self.path}: frame {index + 1} cannot be decoded")
        return self.image


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


def open_sources(sources: Sequence[Path]) -> tuple[list[Images | Video], Iterable[tuple[int, ...]]]:
    """Folders of images or videos, and the places in them of what belongs together: two folders are paired by number,
    videos and folders that are named by times of their own by time."""
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: no such folder or video file")
    if len(sources) > 1 and all(source.is_dir() for source in sources):
        folders: Sequence[list[Path]] = [list_images(source) for source in sources]
        clocks = own_clocks(folders)
        if clocks is not None:
            return [Images(paths) for paths in folders], match_times(clocks, stamped=True)
        folders = pair(folders)
        return [Images(paths) for paths in folders], ((k, k) for k in range(len(folders[0])))
    recordings = [Images(list_images(source)) if source.is_dir() else Video(source) for source in sources]
    if len(recordings) == 1:
        return recordings, ((k,) for k in itertools.count())
    return recordings, match_times([recording.clock() for recording in recordings])


def list_images(folder: Path) -> list[Path]:
    """The images of a folder in order, by the rules of lib/datasets/numbering.py: numbers are compared as numbers; of
    names that differ in letters the last number decides."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    if not paths:
        raise InputError(f"{folder}: no images; expected {', '.join(suffix[1:] for suffix in SUFFIXES)} files")
    parts = split_names(paths)
    stems = {path.stem.lower() for path in paths}
    for path in paths:
        copied = COPY.fullmatch(path.stem.lower())
        if len(parts[path]) == 1:
            raise InputError(f"{path}: image name holds no frame number; rename or remove it")
        if copied and copied[1] != path.stem.lower() and copied[1] in stems:
            raise InputError(f"{path}: looks like a copy; move it out of the folder")
    numbers = {path: tuple(map(int, part[1::2])) for path, part in parts.items()}
    if len({tuple(part[::2]) for part in parts.values()}) > 1:
        numbers = {path: row[-1:] for path, row in numbers.items()}
    paths.sort(key=lambda path: numbers[path])
    for path, other in zip(paths, paths[1:], strict=False):
        if numbers[path] == numbers[other]:
            raise InputError(f"{path} and {other.name} have the same number; rename one or move it away")
    return paths


def split_names(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Letters, digits, letters, … of names without their suffixes. Digits behind a decimal point get equally many where
    they are a fraction, as in times in seconds: 12.5 and 12.05, not 1.9 and 1.10."""
    parts = {path: DIGITS.split(path.stem.lower()) for path in paths}
    for k in range(3, max(map(len, parts.values()), default=0), 2):
        after = [split for split in parts.values() if len(split) > k and split[k - 1] == "."]
        if any((split[k][0] == "0" and split[k] != "0") or len(split[k - 2]) > 8 for split in after):
            for split in parts.values():
                if len(split) == k and not split[-1]:
                    split[k - 1 :] = [".", "0", ""]
            width = max(len(split[k]) for split in after)
            for split in parts.values():
                if len(split) > k and split[k - 1] == ".":
                    split[k] = split[k].ljust(width, "0")
    return parts


def number_images(folders: Sequence[list[Path]]) -> list[list[tuple[int, ...]]]:
    """The numbers in the names of the images: the column of them that counts the images, else all that vary."""
    parts = split_names([path for paths in folders for path in paths])
    rows = [[tuple(map(int, parts[path][1::2])) for path in paths] for paths in folders]
    if len({len(row) for part in rows for row in part}) > 1:
        return [[row[-1:] for row in part] for part in rows]
    columns = [[[row[k] for row in part] for part in rows] for k in range(len(rows[0][0]))]
    varying = [column for column in columns if any(len(set(part)) > 1 for part in column)] or columns[-1:]
    counting = [column for column in varying if all(part == sorted(set(part)) for part in column)]
    if counting:
        varying = [min(counting, key=lambda column: max(part[-1] - part[0] for part in column))]
    return [list(zip(*(column[k] for column in varying), strict=True)) for k in range(len(rows))]


def pair(folders: Sequence[list[Path]]) -> Sequence[list[Path]]:
    """Of two folders the images with the same number, by the rules of lib/datasets/matching.py: where the numbers
    differ by one constant, or are times of two clocks, images of folders of equal length are paired in order."""
    first, *others = numbers = number_images(folders)
    if all(second == first for second in others):
        return folders
    second, names = others[0], [str(paths[0].parent) for paths in folders]
    shared, few = set(first) & set(second), HALF * min(len(first), len(second))
    if len(first) == len(second):
        simple = len(first[0]) == len(second[0]) == 1
        shifted = simple and len({one[0] - two[0] for one, two in zip(first, second, strict=True)}) == 1
        regular = simple and all(HALF * (part[-1][0] - part[0][0]) < len(part) for part in numbers)
        if shifted or (not regular and len(shared) < few):
            print(f"{names[0]} and {names[1]}: the numbers differ; the images are paired in order")
            return folders
    if len(shared) < few:
        raise InputError(
            f"{', '.join(names)}: {len(shared)} numbers are in both; give images of one moment the same one"
        )
    found = f"{names[0]} has {len(first)} images, {names[1]} {len(second)}"
    print(f"{found}; only the {len(shared)} with a number that is in both are used")
    pairs = zip(folders, numbers, strict=True)
    return [[path for path, number in zip(*part, strict=True) if number in shared] for part in pairs]


def read_frames(
    sources: Sequence[Path], modalities: int | None = None, *, stream: str = "visible", missing: str = "grey copy"
) -> Iterator[np.ndarray]:
    """Frames [H, W, 3 M] uint8 RGB of one recording per modality, paired by number or, with a video, by time.

    modalities: of the network, which reads `stream` where it is one; a second recording that is not read is left.
    missing: what stands in for a missing infrared image, a grey copy or black."""
    modalities = modalities or len(sources)
    if len(sources) > modalities:
        sources = sources[::-1] if stream == "infrared" else sources
        print(f"this network reads one camera; {sources[1]} is left")
    if len(sources) < modalities:
        stands_in = "black" if missing == "black" else "a grey copy of the visible one"
        print(f"there is no infrared stream; {stands_in} stands in for it")
    recordings, order = open_sources(sources[:modalities])
    for number, places in enumerate(order):
        images = [recording.read(place) for recording, place in zip(recordings, places, strict=True)]
        found = [image for image in images if image is not None]
        if len(found) < len(images):
            return
        if len(found) < modalities:
            grey = cv2.cvtColor(cv2.cvtColor(found[0], cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            found.append(np.zeros_like(grey) if missing == "black" else grey)
        yield join(match_sizes(found, number == 0))


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


def match_sizes(images: list[np.ndarray], say: bool) -> list[np.ndarray]:
    """The images with the infrared one scaled to the visible one's size."""
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in images]
    if len(set(sizes)) == 1:
        return images
    shapes = [image.shape[1] / image.shape[0] for image in images]
    if abs(shapes[1] / shapes[0] - 1) > SAME_ASPECT:
        raise InputError(
            f"visible is {sizes[0]}, infrared {sizes[1]}: different aspect ratios, so the cameras see different parts "
            "of the scene; align them first, with tracking/video_demo.py --register of the toolbox"
        )
    if say:
        print(f"visible is {sizes[0]}, infrared {sizes[1]}: infrared is scaled to the visible size")
    visible, infrared = images
    across, down = (visible.shape[side] / infrared.shape[side] for side in (1, 0))
    matrix = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
    return [visible, cv2.warpPerspective(infrared, matrix, (visible.shape[1], visible.shape[0]))]


def parse_box(text: str) -> list[float]:
    """Four numbers x, y, w, h."""
    try:
        box = [float(number) for number in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) <= 0:
        raise InputError(f"--box {text}: expected x,y,w,h in pixels, with width and height above 0")
    return box


def write_boxes(path: Path, boxes: Sequence[np.ndarray]) -> None:
    """One tab-separated box a line. The file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        np.savetxt(temporary, np.stack(boxes), fmt="%.4f", delimiter="\t")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with template.onnx and search.onnx")
    parser.add_argument("--visible", type=Path, required=True, help="folder of images or video file")
    parser.add_argument("--infrared", type=Path, help="the same scene in infrared, for networks that read two cameras")
    parser.add_argument("--box", required=True, help="x,y,w,h of the target in the first frame")
    parser.add_argument(
        "--out",
        "--output",
        type=Path,
        default=Path("boxes.txt"),
        help="file for the boxes, one tab-separated box per frame (default: boxes.txt)",
    )
    parser.add_argument(
        "--provider",
        default="CPUExecutionProvider",
        help="of ONNX Runtime, such as CUDAExecutionProvider (default: CPUExecutionProvider)",
    )
    return parser.parse_args([*join_box(sys.argv[1:])])


def join_box(words: Sequence[str]) -> Iterator[str]:
    """The words of a command line with `--box -5,…` as `--box=-5,…`, since argparse takes -5,… for an option."""
    given = iter(words)
    for word in given:
        yield f"--box={next(given, '')}" if word == "--box" else word


def main() -> None:
    """Track one target from its first box on and write its boxes."""
    args = parse_arguments()
    box = parse_box(args.box)
    tracker = OnnxTracker(args.folder, [args.provider])
    sources = [source for source in (args.visible, args.infrared) if source]
    rules = {"stream": tracker.stream, "missing": tracker.missing_infrared}
    frames = read_frames(sources, tracker.modalities, **rules)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{args.visible}: no frame can be read; convert it to mp4 or to a folder of images")
    target = tracker.start(first, box)
    boxes, begin = [target.box], time.perf_counter()
    boxes += [tracker.track(target, frame) for frame in frames]
    speed = (len(boxes) - 1) / (time.perf_counter() - begin)
    write_boxes(args.out, boxes)
    print(f"{args.out}: {len(boxes)} boxes, {speed:.1f} frames/s")


def run_command() -> None:
    """`main`, which ends with one line and status 1 where the input is wrong or the output cannot be written."""
    for stream in (sys.stdout, sys.stderr):  # signs that a terminal cannot show appear as in Python
        stream.reconfigure(errors="backslashreplace", write_through=False)
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except (InputError, OSError) as error:
        with contextlib.suppress(OSError):  # else Python says once more, at its end, that it cannot write
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_command()

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
from pathlib import Path

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))  # a file of 631 bytes can state 4 billion

import cv2  # noqa: E402  reads the limit when it is imported
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

SAME_RATE, SAME_ASPECT = 0.01, 0.02  # relative differences up to which two recordings agree
FOLDER_RATE, SANE_RATES = 25.0, (1 / 3600, 1000.0)  # frames per second: of folders, and those that a file may state
TIE = 1e-6  # seconds by which one of two frames must be nearer than the other
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
DIGITS = re.compile(r"(\d+)")
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
        self.fill = np.zeros(0, np.uint8)  # [3 M] padding colour of stretched crops
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
        self.template_factor, self.search_factor = about["template_factor"], about["search_factor"]
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
        colour = [frame[..., 3 * k : 3 * k + 3].mean(axis=(0, 1)).astype(np.uint8) for k in range(self.modalities)]
        target = Target(first, {})
        target.fill = np.concatenate(colour)
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
    if about["geometry"] not in ("FamilyGeometry", "StretchedGeometry"):
        raise InputError(
            f"{folder}: {about['geometry']} crops are not supported here; see docs/export.md of the toolbox"
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
    width, height = extent.tolist()
    part = image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if not part.size:
        return np.broadcast_to(fill, (size, size, fill.size)).copy(), extent
    whole = np.empty((height, width, fill.size), np.uint8)
    whole[:] = fill
    top, left = max(0, -y), max(0, -x)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole if extent.tolist() == [size, size] else cv2.resize(whole, (size, size)), extent


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
    try:
        return cv2.imread(str(path), flags)
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

    def times(self) -> np.ndarray:
        """The time of each frame in seconds, at the rate that is taken for folders."""
        return np.arange(len(self.paths)) / FOLDER_RATE

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
    """A video file, read in order."""

    def __init__(self, path: Path):
        self.path, self.capture, self.place, self.image = path, cv2.VideoCapture(str(path)), -1, None
        if not self.capture.isOpened():
            raise InputError(f"{path}: cannot be read as a video; convert it to mp4 or to a folder of images")

    def times(self) -> np.ndarray:
        """As `Images.times`, by the file; by its rate where the file's times do not ascend. Decodes the whole file."""
        capture, found = cv2.VideoCapture(str(self.path)), list[float]()
        while capture.grab():
            found.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        rate = capture.get(cv2.CAP_PROP_FPS)
        if (np.diff(found) > 0).all():
            return np.array(found) - found[:1]
        return np.arange(len(found)) / (rate if SANE_RATES[0] <= rate <= SANE_RATES[1] else FOLDER_RATE)

    def read(self, index: int) -> np.ndarray | None:
        """As `Images.read`; `index` is not less than the one before."""
        while self.place < index:
            found, self.image = self.capture.read()
            self.place += 1
            if not found:
                return None
        return self.image


def open_sources(sources: Sequence[Path]) -> list[Images | Video]:
    """Folders of images or videos; of two folders the images that belong together."""
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: no such folder or video file")
    if not all(source.is_dir() for source in sources):
        return [Images(list_images(source)) if source.is_dir() else Video(source) for source in sources]
    return [Images(paths) for paths in pair([list_images(source) for source in sources])]


def list_images(folder: Path) -> list[Path]:
    """The images of a folder in order, by the rules of lib/datasets/numbering.py: numbers are compared as numbers; of
    names that differ in letters the last number decides."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    if not paths:
        raise InputError(f"{folder}: no images; expected {', '.join(suffix[1:] for suffix in SUFFIXES)} files")
    parts = {path: DIGITS.split(path.stem.lower()) for path in paths}
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


def number_images(folders: Sequence[list[Path]]) -> list[list[tuple[int, ...]]]:
    """The numbers in the names of the images, without those that are the same in all of them, such as 640x480."""
    rows = [[tuple(map(int, DIGITS.findall(path.stem))) for path in paths] for paths in folders]
    if len({len(row) for part in rows for row in part}) > 1:
        return [[row[-1:] for row in part] for part in rows]
    width = len(rows[0][0])
    varying = [k for k in range(width) if any(len({row[k] for row in part}) > 1 for part in rows)] or [width - 1]
    return [[tuple(row[k] for k in varying) for row in part] for part in rows]


def pair(folders: Sequence[list[Path]]) -> Sequence[list[Path]]:
    """Of two folders the images with the same number, by the rules of lib/datasets/matching.py: where the numbers
    differ by one constant, or are times of two clocks, images of folders of equal length are paired in order."""
    first, *others = numbers = number_images(folders)
    if all(second == first for second in others):
        return folders
    second, names = others[0], [str(paths[0].parent) for paths in folders]
    shared, equal = set(first) & set(second), len(first) == len(second)
    steps = {tuple(np.subtract(one, two)) for one, two in zip(first, second, strict=False) if len(one) == len(two)}
    few = 2 * len(shared) < min(len(first), len(second))
    times = len(first[0]) > 1 or first[-1][0] - first[0][0] > 2 * len(first)
    if equal and (len(steps) == 1 or (few and times)):
        print(f"{names[0]} and {names[1]}: the numbers differ; the images are paired in order")
        return folders
    if few:
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
    recordings = open_sources(sources[:modalities])
    order: Iterable[tuple[int, ...]] = ((index,) for index in itertools.count())
    if len(recordings) > 1:
        order = enumerate(match_times(*(recording.times() for recording in recordings)))
    for places in order:
        images = [recording.read(place) for recording, place in zip(recordings, places, strict=True)]
        found = [image for image in images if image is not None]
        if len(found) < len(images):
            return
        if len(found) < modalities:
            grey = cv2.cvtColor(cv2.cvtColor(found[0], cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            found.append(np.zeros_like(grey) if missing == "black" else grey)
        yield join(match_sizes(found, places[0] == 0))


def match_times(visible: np.ndarray, infrared: np.ndarray) -> list[int]:
    """The infrared frame of each visible frame: in order at one rate, else the nearest in time, by the rules of
    lib/datasets/times.py. Frames behind the end of the shorter recording are left out."""
    length = min(len(visible), len(infrared))
    if length < 2:
        return list(range(length))
    steps = [float(np.median(np.diff(times))) for times in (visible, infrared)]
    together = (np.abs(visible[:length] - infrared[:length]) <= min(steps) / 2).all()
    if together and abs(steps[1] / steps[0] - 1) <= SAME_RATE:
        partners = np.arange(length)
    else:
        rates = [f"{1 / step:.4g}" for step in steps]
        print(f"{rates[0]} and {rates[1]} frames/s: each visible frame gets the infrared frame nearest in time")
        regular = is_even(visible, steps[0]) and is_even(infrared, steps[1])
        partners = (match_even if regular else match_nearest)(visible, infrared, steps)
    if len(partners) < len(visible) or abs(visible[-1] - infrared[-1]) > max(steps):
        print(f"the recordings differ in length: only the first {len(partners)} frames are used")
    return partners.tolist()


def is_even(times: np.ndarray, step: float) -> bool:
    """Whether no frame is half a step too early or too late."""
    return bool((np.abs(times - np.arange(len(times)) * step) <= step / 2).all())


def match_even(visible: np.ndarray, infrared: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """For two constant rates."""
    pace, last = steps[0] / steps[1], len(infrared) - 1
    used = min(len(visible), int((last + 0.5) / pace) + 1)
    return np.minimum(np.round(np.arange(used) * pace).astype(int), last)


def match_nearest(visible: np.ndarray, infrared: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """By the times alone."""
    shown = visible[visible <= infrared[-1] + max(steps) / 2]
    after = np.searchsorted(infrared, shown).clip(1, len(infrared) - 1)
    nearer = np.abs(infrared[after] - shown) + TIE < np.abs(shown - infrared[after - 1])
    return np.where(nearer, after, after - 1)


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

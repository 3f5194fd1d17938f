r"""Track with ONNX Runtime, NumPy and OpenCV, without PyTorch and without the rest of this repository.

    python tracking/export.py iimf_track tiny --out output/tiny_onnx
    python deploy/track_onnx.py output/tiny_onnx --visible docs/demo_sequence/visible \
        --infrared docs/demo_sequence/infrared --box 138.01,28.76,50.40,64.68 --out output/boxes.txt

Copy this file beside template.onnx and search.onnx; it needs no other file. Boxes are x y w h, pixels.
M modalities (1: visible; 2: visible and infrared), S side of a crop, pixels.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH  # 16 bit stays 16 bit


class Target:
    """The state of one target. One `OnnxTracker` tracks any number of targets."""

    def __init__(self, box: np.ndarray, memory: dict[str, np.ndarray]):
        self.box = box  # [4] float64
        self.memory = memory  # outputs of the template graph
        self.bias = np.ones(2)  # factors by which the network overestimates width and height
        self.score = 1.0


class OnnxTracker:
    """The two graphs of tracking/export.py, with their crops and settings."""

    def __init__(self, folder: str | Path, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 0):
        """providers: of ONNX Runtime, such as CUDAExecutionProvider; threads: 0 for one per core."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.first, self.second = (
            onnxruntime.InferenceSession(str(Path(folder, name)), options, providers=list(providers))
            for name in ("template.onnx", "search.onnx")
        )
        about = json.loads(self.second.get_modelmeta().custom_metadata_map["rgbt_tracking"])
        if about["geometry"] != "FamilyGeometry":
            raise ValueError(
                f"{folder}: {about['geometry']} crops are not supported here; see docs/export.md of the toolbox"
            )
        self.modalities: int = about["modalities"]
        self.template_size, self.search_size = about["template_size"], about["search_size"]
        self.template_factor, self.search_factor = about["template_factor"], about["search_factor"]
        self.margin: int = about["margin"]
        self.calibrates, self.size_rate = about.get("calibrates", False), about.get("size_rate", 1.0)

    def start(self, frame: np.ndarray, box: Sequence[float]) -> Target:
        """A target in its first frame. frame: [H, W, 3 M] uint8 RGB, see `join`; box: x y w h."""
        first = np.array(box, np.float64)
        crop, scale = cut(frame, first, self.template_factor, self.template_size)
        middle = (self.template_size - 1) / 2 / self.template_size
        inside = np.array([middle, middle, *(first[2:] * scale / self.template_size)])
        target = Target(first, run(self.first, {"template": crop[None], "box": inside[None].astype(np.float32)}))
        if self.calibrates:
            found, prior, _ = self.predict(target, frame)
            if np.isfinite(found).all() and (np.abs(found[:2] - 0.5) < prior / 2).all():
                target.bias = np.clip(found[2:4] / prior, 0.5, 2)
        return target

    def track(self, target: Target, frame: np.ndarray) -> np.ndarray:
        """Track the target in the next frame. Returns its box [4]; `target.score` is the network's confidence."""
        answer, prior, side = self.predict(target, frame)
        size = answer[2:4]
        if self.calibrates or self.size_rate != 1:
            size = prior * (np.maximum(size, 0) / target.bias / prior) ** self.size_rate
        corner = target.box[:2] + target.box[2:] / 2 - side / 2
        found = np.concatenate([corner + (answer[:2] - size / 2) * side, size * side])
        target.score = float(answer[4])
        target.box = clip(found, frame.shape[0], frame.shape[1], self.margin)
        return target.box

    def predict(self, target: Target, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Output of the network [5] (cx cy w h in units of the crop's side; score), the size before [2] (w h) in these
        units, and the side of the crop in pixels of the frame."""
        crop, scale = cut(frame, target.box, self.search_factor, self.search_size)
        prior = target.box[2:] * scale / self.search_size
        given = {**target.memory, "search": crop[None], "prior": prior[None].astype(np.float32)}
        answer = run(self.second, given)
        return np.append(answer["boxes"][0], answer["scores"][0]).astype(np.float64), prior, self.search_size / scale


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
        raise ValueError(f"box {box} lies outside its {width}x{height} image")
    inside = image[y1 + top : y1 + side - bottom, x1 + left : x1 + side - right]
    square = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return cv2.resize(square, (size, size)), size / side


def clip(box: np.ndarray, height: int, width: int, margin: int) -> np.ndarray:
    """Clip a box so that at least `margin` pixels of width and height are inside the image."""
    limits = np.array([width, height], np.float64)
    low = np.clip(box[:2], 0, limits - margin)
    high = np.clip(box[:2] + box[2:], margin, limits)
    return np.concatenate([low, np.maximum(high - low, margin)])


def join(images: Sequence[np.ndarray]) -> np.ndarray:
    """One frame from an image per modality: M times [H, W, 3] BGR as OpenCV reads them -> [H, W, 3 M] RGB."""
    return cv2.merge([channel for image in images for channel in cv2.split(image)[::-1]])


def read_image(path: Path, span: tuple[float, float] | None) -> np.ndarray | None:
    """[H, W, 3] uint8 BGR; None for an unreadable file. span: as `measure_range` returns it."""
    image = cv2.imread(str(path), COLOUR)
    if image is None or image.dtype == np.uint8:
        return image
    if span is None:
        return (image >> 8).astype(np.uint8)
    return ((image.astype(np.float32) - span[0]) * (255 / (span[1] - span[0]))).clip(0, 255).round().astype(np.uint8)


def measure_range(paths: Sequence[Path]) -> tuple[float, float] | None:
    """The 16-bit values that become 0 and 255 in all images of a folder, by the rule of lib/datasets/depth.py.
    None: no image has 16 bit, or all of the range is used and the high byte serves."""
    picked = np.unique(np.linspace(0, len(paths) - 1, min(16, len(paths))).round().astype(int))
    kept = read_deep([paths[index] for index in picked]) or read_deep(paths)[:16]
    if not any((values % 256).any() and (values % 257).any() for values in kept):
        return None
    tails = [len(values) // 10000 for values in kept]
    low = sorted(float(values[tail]) for values, tail in zip(kept, tails, strict=True))[len(kept) // 8]
    high = sorted(float(values[-1 - tail]) for values, tail in zip(kept, tails, strict=True))[-1 - len(kept) // 8]
    if high - low >= 1 << 14:
        return None
    print(f"{paths[0].parent}: 16-bit values {low:g} to {high:g} become 0 to 255 in the whole video")
    return low, max(high, low + 1)


def read_deep(paths: Sequence[Path]) -> list[np.ndarray]:
    """The sorted values of each 16-bit image, without its border and without single pixels that stick out."""
    found = []
    for path in paths:
        image = cv2.imread(str(path), COLOUR)
        if image is None or image.dtype != np.uint16:
            continue
        rows, columns = image.shape[0] // 32, image.shape[1] // 32
        if rows and columns:
            image = cv2.medianBlur(np.ascontiguousarray(image[rows:-rows, columns:-columns]), 3)
        found.append(np.sort(image, axis=None))
    return found


def read_frames(folders: Sequence[Path]) -> Iterator[np.ndarray]:
    """Frames from one folder of images per modality, paired in the order of their names."""
    lists = [sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png")) for folder in folders]
    spans = [measure_range(paths) for paths in lists]
    for paths in zip(*lists, strict=True):
        images = [read_image(path, span) for path, span in zip(paths, spans, strict=True)]
        if any(image is None for image in images):
            raise OSError(f"{' or '.join(map(str, paths))}: cannot be read")
        yield join(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with template.onnx and search.onnx")
    parser.add_argument("--visible", type=Path, required=True, help="folder of images")
    parser.add_argument("--infrared", type=Path, help="folder of images, for networks that read two cameras")
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
    args = parser.parse_args()
    tracker = OnnxTracker(args.folder, [args.provider])
    folders = [folder for folder in (args.visible, args.infrared) if folder]
    if len(folders) != tracker.modalities:
        parser.error(f"this network reads {tracker.modalities} camera(s), {len(folders)} given")
    frames = read_frames(folders)
    target = tracker.start(next(frames), [float(number) for number in args.box.split(",")])
    boxes, begin = [target.box], time.perf_counter()
    boxes += [tracker.track(target, frame) for frame in frames]
    speed = (len(boxes) - 1) / (time.perf_counter() - begin)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(args.out, np.stack(boxes), fmt="%.4f", delimiter="\t")
    print(f"{args.out}: {len(boxes)} boxes, {speed:.1f} frames/s")


if __name__ == "__main__":
    main()

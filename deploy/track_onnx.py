r"""Track with ONNX Runtime, NumPy and OpenCV, without PyTorch and without the rest of this repository.

    python tracking/export.py iimf_track tiny --out output/tiny_onnx
    python deploy/track_onnx.py output/tiny_onnx --visible docs/demo_sequence/visible \
        --infrared docs/demo_sequence/infrared --box 517,106,114,324 --out output/boxes.txt

Copy this file and the folder onnx_tracking together; they need no other file but template.onnx and search.onnx. A
source is a folder of images or a video. Boxes are x y w h, pixels.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from onnx_tracking import InputError, OnnxTracker, read_frames


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

"""Track targets in a visible + infrared video and draw the result.

    rgbt track --sequence docs/demo_sequence
    rgbt track --visible walk.mp4 --infrared walk_ir.mp4 --box 120,80,40,60
    rgbt track --visible walk.mp4 --infrared walk_ir.mp4 --register estimate --targets 2
    rgbt track --side_by_side both.mp4 --order visible-right --boxes boxes.txt --heat
    rgbt track --sequence docs/demo_sequence --refine alpha_refine/secm_r34
    rgbt track --visible 0 --infrared rtsp://10.0.0.7/thermal --register homography.txt --window
    rgbt track iimf_track tiny --visible DIR --checkpoint mine.pth.tar --out DIR

A source is a folder of images, a video file, a camera's number or the address of a stream. Without a tracker the
bundled model is used. Without --box or --boxes a sequence starts from its own annotation; otherwise the first box is
drawn with the mouse. With a refiner that makes masks these are drawn too. Ctrl-C ends the video early and keeps the
frames until then.

Writes a new folder: tracking.mp4, contact_sheet.png, tracks.csv and, for one target, boxes.txt (x y w h, pixels).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.atomic import fill_folder
from ..core.errors import InputError, run
from ..core.words import counted
from ..datasets.camera import CAMERAS, keep_camera
from ..datasets.sequence import Sequence
from ..datasets.times import SANE_RATES, is_sane
from ..test.demo.boxes import GivenBoxes, first_boxes, parse_box, read_given_boxes
from ..test.demo.bundled import CHECKPOINT, CONFIG, LOST_BELOW, TRACKER
from ..test.demo.video_run import DemoVideo, VideoOptions, VideoResult, fresh_folder, track_video
from ..test.demo.window import KEYS, Window, draw_box_by_mouse, require_screen
from ..test.evaluation.open import open_run
from ..test.tracker.forward_pass import Mode
from ..test.tracker.protocol import Tracker
from ..test.video.homography import write_homography
from ..test.video.live import is_live, open_cameras
from ..test.video.pairing import ORDERS, PairedFrames, open_frames, open_halves, open_sequence, recorded_rate
from .options import Group, add_backend, add_changes, add_device, add_max_frames, add_out, add_tracker, add_weights
from .parser import Argv, Parser
from .refine_options import add_refine, asked_refiner


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("track", __doc__, argv, epilog=f"Keys in the window: {KEYS}")
    add_tracker(parser, what=f"default: {TRACKER} {CONFIG}, the bundled model", required=False)
    add_weights(parser)
    add_refine(parser)
    add_device(parser)
    add_backend(parser)
    add_changes(parser)
    _add_sources(parser.add_argument_group("video"))
    _add_targets(parser.add_argument_group("targets"))
    _add_results(parser.add_argument_group("result"))
    return parser.read()


def _add_sources(group: Group) -> None:
    group.add_argument(
        "--visible", metavar="SOURCE", help="folder of images, video file, camera number or stream address"
    )
    group.add_argument("--infrared", metavar="SOURCE", help="the same scene in infrared; a source as --visible")
    group.add_argument("--side_by_side", metavar="FILE", help="one video that shows both cameras in each picture")
    group.add_argument(
        "--order",
        choices=ORDERS,
        default="visible-left",
        help="where --side_by_side shows the visible camera (default: visible-left)",
    )
    group.add_argument("--sequence", metavar="DIR", help="a sequence folder (LasHeR, RGBT234 or LaSOT layout)")
    group.add_argument(
        "--register",
        metavar="FILE|estimate",
        help="homography from infrared to visible pixels: nine numbers in a file, or estimated from the images",
    )
    group.add_argument(
        "--fps",
        type=float,
        metavar="N",
        help="frames/s of sources that do not tell it: folders without times in their names (default: 25), videos with "
        "an absurd rate; also of the written video (default: as the visible one)",
    )
    group.add_argument(
        "--infrared_fps", type=float, metavar="N", help="the same of --infrared, where it differs (default: --fps)"
    )
    group.add_argument(
        "--modality",
        choices=("both", *CAMERAS),
        default="both",
        help="visible, infrared: only this camera works, the other stream is black (default: both)",
    )
    add_max_frames(group, "--frames", what="stop after so many frames (default: all)")


def _add_targets(group: Group) -> None:
    group.add_argument(
        "--box",
        metavar="x,y,w,h",
        action="append",
        default=[],
        help="target in the first frame, visible pixels; repeat the option for more targets",
    )
    group.add_argument(
        "--boxes", metavar="FILE", help="lines of: frame target x y w h (frame and target from 1; later boxes correct)"
    )
    group.add_argument("--targets", type=int, default=1, metavar="N", help="boxes to draw with the mouse (default: 1)")
    group.add_argument(
        "--lost_below",
        type=float,
        default=LOST_BELOW,
        help=f"targets with a lower score are shown as lost (default: {LOST_BELOW})",
    )


def _add_results(group: Group) -> None:
    add_out(group, "--output", what="new folder (default: output/demo/<name>; _2, _3, … where it exists)")
    group.add_argument(
        "--format",
        choices=("mp4", "webm"),
        default="mp4",
        help="webm: slower to write, plays in browsers (default: mp4)",
    )
    group.add_argument("--heat", action="store_true", help="draw the network's score map over the pictures")
    group.add_argument("--window", action="store_true", help="show the tracking in a window while it runs")


def main(argv: Argv = None) -> None:
    """Track the targets, draw, write, print where everything is."""
    args = parse_arguments(argv)
    _check(args)
    video, matrix = open_video(args)
    given = choose_given_boxes(args, video)
    if not given:
        require_screen()
    tracker = open_tracker(args)
    window = Window(args.heat) if args.window else None
    folder = fresh_folder(args.out or Path("output", "demo", video.name))
    options = VideoOptions(
        given, _draw_by_mouse(args.targets), args.lost_below, args.heat, args.max_frames, f"tracking.{args.format}"
    )
    with fill_folder(folder) as scratch:
        if args.register == "estimate" and matrix is not None:
            write_homography(scratch / "homography.txt", matrix)
        result = track_video(tracker, video, scratch, options, window=window)
    report(result, video, folder)


def _check(args: argparse.Namespace) -> None:
    """Raises InputError for arguments that are out of range or contradict each other."""
    for option in ("fps", "infrared_fps"):
        rate = getattr(args, option)
        if rate is not None and not is_sane(rate):
            low, high = SANE_RATES
            raise InputError(f"--{option} {rate:g}: expected frames per second, from {low:.2g} to {high:g}")
    if args.max_frames is not None and args.max_frames < 1:
        raise InputError(f"--max_frames {args.max_frames}: expected 1 or more")
    if args.targets < 1:
        raise InputError(f"--targets {args.targets}: expected 1 or more")
    if sum(source is not None for source in (args.sequence, args.visible, args.side_by_side)) != 1:
        raise InputError("give either --sequence DIR, --visible SOURCE (and --infrared SOURCE) or --side_by_side FILE")
    if args.infrared is not None and args.visible is None:
        raise InputError("--infrared goes with --visible; a --sequence or --side_by_side holds both")
    if args.infrared_fps is not None and args.infrared is None:
        raise InputError("--infrared_fps goes with --infrared")
    if args.register is not None and args.infrared is None:
        raise InputError("--register goes with --visible and --infrared")
    if args.box and args.boxes:
        raise InputError("give --box or --boxes, not both")


def open_video(args: argparse.Namespace) -> tuple[DemoVideo, np.ndarray | None]:
    """The video that the command line names, and the homography in use. Raises InputError when it cannot be opened."""
    live = [is_live(source) for source in (args.visible, args.infrared) if source is not None]
    if not any(live):
        return open_recording(args)
    if not all(live):
        raise InputError("--visible, --infrared: a camera and a recording cannot be paired; give two of one kind")
    if args.modality != "both":
        raise InputError("--modality is for recordings; where a camera is missing, give only the other one")
    cameras = open_cameras(args.visible, args.infrared, args.register)
    return DemoVideo("camera", cameras, cameras.modalities, args.fps or cameras.rate), cameras.matrix


def open_recording(args: argparse.Namespace) -> tuple[DemoVideo, np.ndarray | None]:
    """As `open_video`, for a recording on disk."""
    matrix = None
    if args.sequence is not None:
        sequence = open_sequence(args.sequence)
    elif args.side_by_side is not None:
        halves = open_halves(args.side_by_side, args.order)
        sequence = Sequence(Path(args.side_by_side).resolve().stem, halves, np.zeros((0, 4)))
    else:
        frames = open_frames(args.visible, args.infrared, args.register, (args.fps, args.infrared_fps or args.fps))
        matrix = frames.matrix if isinstance(frames, PairedFrames) else None
        sequence = Sequence(Path(args.visible).resolve().stem, frames, np.zeros((0, 4)))
    rate = args.fps or recorded_rate(sequence.frames)
    if args.modality != "both":
        sequence = keep_camera(sequence, args.modality, len(CAMERAS))
    return DemoVideo.from_sequence(sequence, rate), matrix


def choose_given_boxes(args: argparse.Namespace, video: DemoVideo) -> GivenBoxes:
    """The boxes that the command line names, else the first box of the sequence. Empty: boxes are to be drawn."""
    if args.boxes:
        return read_given_boxes(args.boxes)
    if args.box:
        return first_boxes([parse_box(text) for text in args.box])
    if video.sequence is not None and len(video.sequence.boxes):
        return first_boxes([video.sequence.boxes[0]])
    return {}


def open_tracker(args: argparse.Namespace) -> Tracker:
    """The tracker that the command line names, with its weights; else the bundled model."""
    named = args.tracker or args.config or args.runid is not None
    checkpoint = args.checkpoint or (None if named else CHECKPOINT)
    tracker, config = args.tracker or TRACKER, args.config or CONFIG
    named = {"checkpoint": checkpoint, "runid": args.runid, "device": args.device}
    return open_run(tracker, config, args.set, refine=asked_refiner(args), **named).load(Mode(backend=args.backend))


def _draw_by_mouse(targets: int) -> Callable[[np.ndarray], dict[int, np.ndarray]]:
    return lambda image: {number: draw_box_by_mouse(image) for number in range(1, targets + 1)}


def report(result: VideoResult, video: DemoVideo, folder: Path) -> None:
    """Print speed, figures against the annotation if there is one, and where everything is."""
    frames = len(result.seconds)
    if video.length is not None and frames < video.length:
        print(f"stopped after {frames} of {counted(video.length, 'frame')}")
    tracking = (
        f"{result.speed:.1f} frames/s tracking" if result.rows else "no target: the first box is for a later frame"
    )
    speed = f"{frames / result.elapsed:.1f} frames/s with reading, drawing, writing"
    print(f"{counted(frames, 'frame')}, {tracking}, {speed}")
    lost = sum(row.lost for row in result.rows)
    if lost:
        print(f"lost in {lost} of {counted(len(result.rows), 'box')} (dashed)")
    if result.figures:
        print("against the annotation: " + ", ".join(f"{name} {100 * v:.1f}" for name, v in result.figures.items()))
    for path in result.files:
        print(f"written: {folder / path.name}")


if __name__ == "__main__":
    run(main)

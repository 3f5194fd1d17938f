"""Follow a target in a visible + infrared pair and draw what happens.

    python tracking/video_demo.py iimf_track tiny --sequence DIR
    python tracking/video_demo.py iimf_track tiny --visible DIR_OR_VIDEO --infrared DIR_OR_VIDEO --box 120,80,40,60
    python tracking/video_demo.py iimf_track tiny --visible walk.mp4 --output walk_followed

Without --box a sequence starts from its own annotation; otherwise the box is drawn with the mouse on the first frame.
Written to a new folder: tracking.mp4, contact_sheet.png, boxes.txt (tab-separated x y w h, pixels), boxes_time.txt.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.checkpoint import find_checkpoint
from lib.core.config import load_config
from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.datasets.camera import CAMERAS, keep_camera
from lib.datasets.sequence import Sequence
from lib.test.demo import Film, draw_box_by_mouse, fresh_folder, make_film, parse_box
from lib.test.engine import choose_devices
from lib.test.load import config_name, load_tracker
from lib.test.video import frame_rate, open_frames, open_sequence


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker_name", help="a folder of experiments/")
    parser.add_argument("tracker_param", help="a configuration in that folder, or a YAML file")
    parser.add_argument("--visible", help="a folder of images or a video file")
    parser.add_argument("--infrared", help="the same scene in infrared, registered and equal in size")
    parser.add_argument("--sequence", metavar="DIR", help="a sequence folder instead (LasHeR, RGBT234 or LaSOT layout)")
    parser.add_argument("--box", metavar="x,y,w,h", help="the target in the first frame, pixels of the visible image")
    parser.add_argument("--output", metavar="DIR", help="default: output/demo/<name>; a taken name gets a number")
    parser.add_argument("--fps", type=float, help="of the written video (default: as the input, 25 for images)")
    parser.add_argument("--checkpoint", help="a .pth.tar, .pth or .safetensors file instead of the newest training's")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--modality",
        choices=("both", *CAMERAS),
        default="both",
        help="visible, infrared: only this camera works, the other stream is black",
    )
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change keys of the configuration"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.fps is not None and not args.fps > 0:
        raise InputError(f"--fps {args.fps}: expected a number above 0")
    cfg = load_config(args.tracker_name, args.tracker_param, args.set)
    device = choose_devices(args.device, threads=1, num_gpus=1)[0]
    sequence = open_input(args)
    if args.modality != "both":
        sequence = keep_camera(sequence, args.modality, len(cfg.DATA.MEAN) // 3)
    box = choose_box(args.box, sequence)
    checkpoint = args.checkpoint or find_checkpoint(
        read_local("test")["save_dir"], args.tracker_name, config_name(args.tracker_param), cfg.TEST.EPOCH
    )
    tracker = load_tracker(cfg, checkpoint, device)
    folder = fresh_folder(args.output or Path("output", "demo", sequence.name))
    report(make_film(tracker, sequence, box, folder, args.fps or frame_rate(sequence.frames)), folder)


def open_input(args: argparse.Namespace) -> Sequence:
    """The video that the command line names; its `boxes` has no rows when nothing is annotated."""
    if (args.sequence is None) == (args.visible is None):
        raise InputError("give either --sequence DIR or --visible DIR_OR_VIDEO (and --infrared DIR_OR_VIDEO)")
    if args.sequence is None:
        return Sequence(Path(args.visible).resolve().stem, open_frames(args.visible, args.infrared), np.zeros((0, 4)))
    if args.infrared is not None:
        raise InputError("--infrared goes with --visible; a --sequence holds both")
    return open_sequence(args.sequence)


def choose_box(text: str | None, sequence: Sequence) -> np.ndarray:
    """[4] xywh: the one given, else the sequence's own, else one drawn with the mouse."""
    if text is not None:
        return parse_box(text)
    return sequence.boxes[0] if len(sequence.boxes) else draw_box_by_mouse(sequence.frames[0][0])


def report(film: Film, folder: Path) -> None:
    """Speed, agreement with the annotation where there is one, and where everything lies."""
    print(f"{len(film.boxes)} frames, tracker alone {len(film.seconds) / film.seconds.sum():.1f} frames/s")
    if film.figures:
        print("against the annotation: " + ", ".join(f"{name} {100 * v:.1f}" for name, v in film.figures.items()))
    print(f"written: {folder}/tracking.mp4, contact_sheet.png, boxes.txt")


if __name__ == "__main__":
    run(main)

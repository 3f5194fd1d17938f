"""Write synthetic RGB-T sequences in LasHeR's layout, or draw a contact sheet of training pairs.

rgbt synthetic --out data/synthetic --number 20 --frames 120
rgbt synthetic --out data/synthetic --photos ../photos --split train --size 360x270
rgbt synthetic --contact_sheet pairs.png --photos ../photos
"""

import argparse
import re
import shlex
from pathlib import Path

import cv2

from ..core.atomic import write_atomically
from ..core.errors import InputError, run
from ..core.paths import typed_command
from ..core.words import counted
from ..datasets.synthetic import contact_sheet, stream, write_sequences
from .options import add_out, add_seed
from .parser import Argv, Parser

SETS = {"train": "training", "val": "testing"}
SHEET_PAIRS, SHEET_FRAMES = 64, 48


def main(argv: Argv = None) -> None:
    """Write sequences, a contact sheet, or both."""
    args = parse_arguments(argv)
    if args.out is None and args.contact_sheet is None:
        raise InputError("nothing to do: give --out FOLDER, --contact_sheet FILE, or both")
    size = _size(args.size)
    photos = args.photos or Path("")
    options = {"held_out": args.split == "val", "size": size, "seed": args.seed}
    if args.contact_sheet is not None:
        _draw_sheet(args.contact_sheet, stream(photos, SHEET_PAIRS, frames=SHEET_FRAMES, **options))
    if args.out is not None:
        if args.number < 1 or args.frames < 2:
            raise InputError(f"--number {args.number} --frames {args.frames}: at least 1 and 2 are needed")
        sequences = stream(photos, args.number, frames=args.frames, **options)
        recipe = f"synthetic split={args.split} seed={args.seed} frames={args.frames} size={size}"
        write_sequences(sequences, args.out, recipe=f"{recipe} photos={photos}", split=SETS[args.split])
        report(args.out / f"{SETS[args.split]}set", len(sequences), args.frames)


def report(folder: Path, number: int, frames: int) -> None:
    """Print what was written, and a command that uses it."""
    print(f"{folder}: {counted(number, 'sequence')} of {frames} frames, visible and infrared, with boxes")
    command = f"{typed_command('test', 'test')} iimf_track tiny --dataset_name folder --data_dir"
    print(f"track them: {command} {shlex.quote(str(folder))}")


def _draw_sheet(path: Path, sequences: list) -> None:
    if path.exists():
        raise InputError(f"--contact_sheet {path}: exists already; choose another name")
    image = cv2.cvtColor(contact_sheet(sequences), cv2.COLOR_RGB2BGR)
    if path.suffix.lower() not in (".png", ".jpg"):
        raise InputError(f"--contact_sheet {path}: the name must end in .png or .jpg")
    with write_atomically(path) as temporary:
        temporary.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    print(f"{path}: {len(sequences)} pairs")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or not all(64 <= int(side) <= 720 for side in match.groups()):
        raise InputError(f"--size {text}: expected WIDTHxHEIGHT, each from 64 to 720, such as 320x256")
    return int(match[1]), int(match[2])


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("synthetic", __doc__, argv)
    add_out(parser, what="new or empty folder for the sequences", type=Path)
    parser.add_argument(
        "--photos", type=Path, help="folder of photographs, cut-outs and still images (default: none, drawn textures)"
    )
    parser.add_argument("--number", type=int, default=20, help="number of sequences (default: 20)")
    parser.add_argument("--frames", type=int, default=120, help="frames of each sequence (default: 120)")
    parser.add_argument("--size", default="320x256", help="frame size in pixels, WIDTHxHEIGHT (default: 320x256)")
    add_seed(parser, "of the random generator")
    parser.add_argument(
        "--split",
        choices=SETS,
        default="val",
        help="train: photographs for training; val: the held-out ones (default: val)",
    )
    parser.add_argument("--contact_sheet", type=Path, metavar="FILE", help="draw 64 training pairs into a .png or .jpg")
    return parser.read()


if __name__ == "__main__":
    run(main)

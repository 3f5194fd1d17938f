"""Cut a data set to crops of 511 pixels around each target, for Siamese trackers on slow disks.

    rgbt crops imagenetvid
    rgbt crops coco17 --out /data/crop511 --workers 16

Writes <out>/<set>/crop511/<video>/<frame>.<track>.x.jpg, train.json and categories.json. With crop511_dir = <out> in
local.py a configuration reads them as vid511, youtubebb511, det511, coco511, got10k511 and lasot511. The same command
continues an interrupted run.
"""

import argparse
from pathlib import Path

from ..core.errors import InputError, run
from ..core.measure.machine import usable_cores
from ..core.paths import FILES, read_local
from ..core.registry import choose
from ..datasets import folders_of, load_training_set
from ..datasets.cropping import cut_set
from .options import add_out
from .parser import Argv, Parser

#: Data set -> folder of its crops, as lib/datasets/readers/cropped.py reads them
FOLDERS = {
    "imagenetvid": "vid",
    "imagenetdet": "det",
    "youtubebb": "yt_bb",
    "coco17": "coco",
    "got10k_train_full": "got10k",
    "got10k_vottrain": "got10k",
    "lasot": "lasot",
}
_SHOWN = 5  # unreadable frames in the message


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("crops", __doc__, argv)
    parser.add_argument("name", help=f"a data set: {', '.join(FOLDERS)} (of lasot the training part)")
    parser.add_argument("--data_dir", help="folder of the data set (default: from local.py)")
    add_out(parser, what="folder for all cropped sets (default: crop511_dir of local.py)")
    parser.add_argument(
        "--workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="worker processes (default: %(default)s); 0: this process alone",
    )
    return parser.read()


def main(argv: Argv = None) -> None:
    """Cut one data set."""
    args = parse_arguments(argv)
    name = choose("data set", args.name, FOLDERS)
    if args.workers < 0:
        raise InputError(f"--workers {args.workers}: give 0 (this process alone) or more")
    out = args.out or read_local("train")["crop511_dir"]
    if not out:
        raise InputError(f"nowhere to write: give --out FOLDER, or set crop511_dir in {FILES['train']}")
    folders = folders_of(name, args.data_dir, lambda: read_local("train") | {"packed_dir": ""})
    folder = Path(out) / FOLDERS[name]
    unreadable = cut_set(load_training_set(name, folders), folder, workers=args.workers)
    print(f"{folder}: set crop511_dir = {str(out)!r} in {FILES['train']}")
    if unreadable:
        shown = "; ".join(unreadable[:_SHOWN])
        raise InputError(f"{len(unreadable)} frames could not be read and are left out: {shown}")


if __name__ == "__main__":
    run(main)

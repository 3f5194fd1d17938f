"""Cut a data set to crops of 511 pixels around each target, for Siamese trackers on slow disks.

    rgbt crops imagenetvid
    rgbt crops lasher_train --out /data/crop511 --workers 16
    rgbt crops lasot --step 5

Two cameras are cut in pairs, each around its own box. Writes <out>/<set>/crop511.lmdb, train.json, categories.json and,
where both cameras are annotated, infrared.json. The same command continues an interrupted run. With crop511_dir = <out>
in local.py a configuration reads them as the set's name with 511: vid511, youtubebb511, det511, coco511, got10k511,
got10k_val511, lasot511, gtot511, rgbt234_511, lasher511, lasher_unaligned511, vtuav_st511, vtuav_lt511. Needs the
package lmdb (the extra [lmdb]).
"""

import argparse
from pathlib import Path

from ..core.errors import InputError, run
from ..core.measure.machine import usable_cores
from ..core.paths import FILES, read_local
from ..core.registry import choose
from ..core.words import counted
from ..datasets import TRAINING, folders_of, load_dataset
from ..datasets.cropping import Rules, cut_set
from ..datasets.usable import LEAST_SIDE
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
    "got10k_val": "got10k_val",
    "lasot": "lasot",
    "gtot": "gtot",
    "rgbt234": "rgbt234",
    "lasher_train": "lasher",
    "lasher_unaligned_train": "lasher_unaligned",
    "vtuav_st_train": "vtuav_st",
    "vtuav_lt_train": "vtuav_lt",
}
_SHOWN = 5  # unreadable frames in the message
#: Pixels of a box, in sets of two cameras, whose targets are small (SiamDMA: more than 5)
_LEAST_SIDE_OF_TWO = 6


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
    parser.add_argument(
        "--step", type=int, default=1, metavar="N", help="cut every Nth annotated frame only (default: %(default)s)"
    )
    parser.add_argument(
        "--least_side",
        type=float,
        metavar="PIXELS",
        help=f"leave out boxes with a shorter side (default: {LEAST_SIDE}; sets of two cameras: {_LEAST_SIDE_OF_TWO})",
    )
    return parser.read()


def main(argv: Argv = None) -> None:
    """Cut one data set."""
    args = parse_arguments(argv)
    name = choose("data set", args.name, FOLDERS)
    if args.workers < 0:
        raise InputError(f"--workers {args.workers}: give 0 (this process alone) or more")
    if args.step < 1:
        raise InputError(f"--step {args.step}: give 1 (every frame) or more")
    if args.least_side is not None and not 1 <= args.least_side <= 100:
        raise InputError(f"--least_side {args.least_side:g}: give 1 to 100 pixels")
    out = args.out or read_local("train")["crop511_dir"]
    if not out:
        raise InputError(f"nowhere to write: give --out FOLDER, or set crop511_dir in {FILES['train']}")
    folders = folders_of(name, args.data_dir, lambda: read_local("train") | {"packed_dir": ""})
    folder, sequences = Path(out) / FOLDERS[name], load_dataset(TRAINING.get(name, name), folders)
    both = len(sequences[0].frames.modalities) > 1
    least_side = args.least_side or (_LEAST_SIDE_OF_TWO if both else LEAST_SIDE)
    done = cut_set(sequences, folder, workers=args.workers, rules=Rules(args.step, least_side))
    what = "pair" if both else "crop"
    print(f"{counted(done.crops, what)} in {folder}; set crop511_dir = {str(out)!r} in {FILES['train']}")
    if done.unreadable:
        shown = "; ".join(done.unreadable[:_SHOWN])
        left = counted(len(done.unreadable), what if both else "frame")
        raise InputError(f"left out: {left} of which an image could not be read: {shown}")


if __name__ == "__main__":
    run(main)

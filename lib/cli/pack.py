"""Pack a data set into two files, for disks that are slow with many small files.

    rgbt pack lasher_train
    rgbt pack got10k_vottrain --out /network/packed

The bytes of the images do not change. Writes <out>/<name>/images.lmdb and index.npz; the same command continues an
interrupted run. With packed_dir = <out> in local.py every command reads <name> from there and no longer needs the
folders of the data set. Needs the package lmdb (the extra [lmdb]).
"""

import argparse
from pathlib import Path

from ..core.errors import InputError, run
from ..core.paths import FILES, read_local
from ..core.registry import choose
from ..core.words import counted
from ..datasets import DATASETS, folders_of, load_dataset
from ..datasets.pack import pack
from ..datasets.still_images import StillImages
from .options import add_out
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("pack", __doc__, argv)
    parser.add_argument("name", help="a data set")
    parser.add_argument("--data_dir", help="folder of the data set (default: from local.py)")
    add_out(parser, what="folder for all packed sets (default: packed_dir of local.py)")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Pack one data set."""
    args = parse_arguments(argv)
    name = choose("data set", args.name, DATASETS)
    out = args.out or read_local("train")["packed_dir"]
    if not out:
        raise InputError(f"nowhere to write: give --out FOLDER, or set packed_dir in {FILES['train']}")
    folders = folders_of(name, args.data_dir, lambda: read_local("train") | {"packed_dir": ""})
    sequences = load_dataset(name, folders)
    if isinstance(sequences, StillImages):
        raise InputError(f"{name}: its images are shared by many objects and stay where they are; it is not packed")
    folder = Path(out) / name
    pack(sequences, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(
        f"{counted(len(sequences), 'sequence')}, {size / 1e9:.2f} GB in {folder}; "
        f"set packed_dir = {str(out)!r} in "
        f"{' and '.join(map(str, FILES.values()))}"
    )


if __name__ == "__main__":
    run(main)

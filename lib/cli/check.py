"""Report what is missing, damaged or inconsistent in a data set, before a long run fails on it.

    rgbt check lasher_train
    rgbt check lasher_test --images 20 --out lasher_test.txt
    rgbt check trackingnet_train --images all
    rgbt check folder --data_dir ~/videos

Checked are the folders and files of every sequence, the numbers of images and annotation rows, the boxes, and the first
image of every stream (--images for more). Of a set that was packed, and of crops, the structure of the LMDB file is
checked as well. The exit status is 1 when something is wrong.
"""

import argparse
import functools
from pathlib import Path

from ..core.atomic import write_atomically
from ..core.errors import InputError, run
from ..core.paths import read_local
from ..core.registry import choose
from ..core.words import counted
from ..datasets import DATASETS, find_dataset, folders_of, load_dataset
from ..datasets.check import KINDS, Findings, Problem, check_sequences, check_stores, read_all
from ..datasets.pack import IMAGES as PACKED
from ..datasets.readers.cropped import STORE as CROPS
from ..datasets.readers.folder import read_folder
from .options import add_out
from .parser import Argv, Parser

EXAMPLES = 3  # lines of each kind on the screen
WIDTH = 160  # characters of such a line


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("check", __doc__, argv)
    parser.add_argument("name", help="a data set, or 'folder' with --data_dir")
    parser.add_argument("--data_dir", help="folder of the data set (default: from local.py)")
    parser.add_argument(
        "--images", default="1", metavar="N|all", help="number of frames of each sequence to decode (default: 1)"
    )
    add_out(
        parser, what="write all findings into this file; the screen shows three of each kind", metavar="FILE", type=Path
    )
    return parser.read()


def main(argv: Argv = None) -> None:
    """Check one data set."""
    args = parse_arguments(argv)
    if args.images != "all" and not (args.images.isdigit() and int(args.images)):
        raise InputError(f"--images {args.images}: expected a number above 0, or 'all'")
    if args.out is not None and args.out.exists():
        raise InputError(f"{args.out}: exists; choose another file for --out")
    read, stores = choose_reader(args)
    broken = check_stores(stores)
    sequences, problems = read_all(read) if not broken else ([], [])
    findings = check_sequences(sequences, None if args.images == "all" else int(args.images))
    findings = findings._replace(problems=broken + problems + findings.problems)
    if args.out is not None:
        with write_atomically(args.out) as temporary:
            notes = [Problem("note", line) for lines in findings.notes.values() for line in lines]
            noted = [*findings.problems, *notes]
            lines = (f"{problem.kind}\t{problem.line}\n" for problem in noted)
            temporary.write_text("".join(lines), encoding="utf-8")
    report(findings, args.out)
    if findings.problems:
        raise SystemExit(1)


def choose_reader(args: argparse.Namespace) -> tuple[functools.partial, list[Path]]:
    """The reader of the data set that the command line names, and its LMDB files."""
    if args.name.lower() == "folder":
        if not args.data_dir:
            raise InputError("folder needs --data_dir DIR, a folder of sequences")
        return functools.partial(read_folder, args.data_dir), []
    name = choose("data set", args.name, DATASETS)
    if DATASETS[name].key == "photos_dir":
        raise InputError(f"{args.name}: is made when it is asked for; there is nothing on disk to check")
    packed = read_local("train")["packed_dir"]
    folders = folders_of(args.name, args.data_dir, lambda: read_local("train") | {"packed_dir": ""})
    places = [Path(packed, name, PACKED)] if packed and not args.data_dir else []
    places.append(find_dataset(args.name, folders)[1] / CROPS)
    read = functools.partial(load_dataset, args.name, folders, indexed=False)
    return read, [place for place in places if place.is_file()]


def report(findings: Findings, out: Path | None) -> None:
    """Print what was checked, then the number and the first cases of each kind of finding."""
    counts = {"sequence": findings.sequences, "frame": findings.frames, "image": findings.decoded}
    print(", ".join(counted(number, noun) for noun, number in counts.items()), "decoded")
    for kind, title in KINDS.items():
        _print_cases(title, [problem.line for problem in findings.problems if problem.kind == kind], out)
    for title, notes in findings.notes.items():
        if notes:
            _print_cases(f"{title} (not a fault)", notes, out)
    print("nothing is wrong" if not findings.problems else f"{len(findings.problems)} findings")


def _print_cases(title: str, lines: list[str], out: Path | None) -> None:
    print(f"{len(lines):8d}  {title}")
    for line in lines[:EXAMPLES]:
        print(f"{'':10}{line if len(line) <= WIDTH else f'{line[: WIDTH - 1]}…'}")
    if lines[EXAMPLES:]:
        where = f"in {out}" if out else "with --out FILE"
        print(f"{'':10}… and {len(lines) - EXAMPLES} more {where}")


if __name__ == "__main__":
    run(main)

r"""Draw result files over the frames: several trackers in colours, both streams side by side.

    rgbt vis --dataset_name lasher_test --results ours=DIR APFNet=DIR --lost APFNet --kept ours
    rgbt vis --dataset_name folder --data_dir DIR --results ours=DIR APFNet=DIR mfDiMP=DIR
    rgbt vis --dataset_name lasher_test --results ours=DIR APFNet=DIR --sequence blackboy greyman

Without --sequence: the moments in which one tracker loses a target (IoU below 0.1) that another one keeps (at least
0.5), the worst first, as moments.csv, contact_sheet.png and moments.mp4. With --sequence: whole sequences, as
<name>.mp4 and <name>.png. Writes a new folder. Frames are counted from 1.
"""

import argparse
from pathlib import Path

from ..core.atomic import fill_folder
from ..core.errors import InputError, run
from ..core.paths import read_local
from ..core.table import Table, format_text, write_csv
from ..core.words import counted
from ..datasets.named import data_name, open_dataset
from ..test.analysis.sources import named_folders
from ..test.demo.gallery import ANNOTATION, collect_moments, draw_moments, draw_whole, read_tracked_sequences
from ..test.demo.video_run import fresh_folder
from ..test.evaluation.sequences import choose_sequence
from ..test.results.origin import check_scored
from .options import add_data, add_out
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("vis", __doc__, argv)
    add_data(parser, "lasher_test")
    parser.add_argument("--results", nargs="+", action="extend", default=[], metavar="NAME=DIR", required=True,
                        help="name in the pictures and folder of results, one or more")  # fmt: skip
    parser.add_argument("--sequence", nargs="+", default=[], metavar="NAME", help="draw these whole sequences")
    parser.add_argument("--lost", metavar="NAME", help="tracker that loses the target (default: the first)")
    parser.add_argument(
        "--kept", metavar="NAME", help="tracker that keeps it, or annotation (default: the second, else annotation)"
    )
    parser.add_argument("--moments", type=int, default=12, help="number of moments (default: 12)")
    parser.add_argument("--fps", type=float, default=25.0, help="frames/s of the videos (default: 25)")
    add_out(parser, "--output", what="new folder (default: output/vis/<data set>; _2, _3, … where it exists)")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Draw the moments or the named sequences."""
    args = parse_arguments(argv)
    for option in ("moments", "fps"):
        if not getattr(args, option) > 0:
            raise InputError(f"--{option} {getattr(args, option)}: expected a number above 0")
    folders = named_folders(args.results)
    lost, kept = choose_pair(args, list(folders))
    sequences = list(open_dataset(args.dataset_name, args.data_dir, lambda: read_local("test")))
    if args.sequence:
        sequences = [choose_sequence(sequences, name) for name in args.sequence]
    starts = {sequence.name: sequence.first_boxes for sequence in sequences}
    for folder in folders.values():
        check_scored(folder, data_name(args.dataset_name, args.data_dir), starts)
    tracked = read_tracked_sequences(sequences, folders)
    if args.sequence:
        folder = fresh_folder(args.out or Path("output", "vis", args.dataset_name))
        with fill_folder(folder) as scratch:
            for item in tracked:
                draw_whole(item, scratch, args.fps)
        print(f"written: {folder}/<sequence>.mp4 and .png of {counted(len(tracked), 'sequence')}")
        return
    moments = collect_moments(tracked, lost, kept, args.moments)
    if not moments:
        print(f"{lost} loses nothing that {kept} keeps in {counted(len(tracked), 'sequence')}; nothing is written")
        return
    folder = fresh_folder(args.out or Path("output", "vis", args.dataset_name))
    rows = [["sequence", "first frame", "last frame", "widest at", "lost overlap"]]
    rows += [[m.sequence, *(str(frame + 1) for frame in (m.first, m.last, m.peak)), f"{m.loss:.2f}"] for m in moments]
    print(format_text(Table(f"{lost} loses what {kept} keeps, the worst first", rows)))
    with fill_folder(folder) as scratch:
        write_csv(scratch / "moments.csv", rows)
        draw_moments(tracked, moments, scratch, args.fps)
    print(f"\nwritten: {folder}/contact_sheet.png, moments.mp4, moments.csv")


def choose_pair(args: argparse.Namespace, names: list[str]) -> tuple[str, str]:
    """The tracker that loses targets, and the one that keeps them."""
    lost = args.lost or next((name for name in names if name != args.kept), names[0])
    kept = args.kept or next((name for name in names if name != lost), ANNOTATION)
    for option, name in (("lost", lost), ("kept", kept)):
        if name not in (*names, ANNOTATION) or (option == "lost" and name == ANNOTATION):
            raise InputError(f"--{option} {name}: no such tracker; there are {', '.join(names)}")
    return lost, kept


if __name__ == "__main__":
    run(main)

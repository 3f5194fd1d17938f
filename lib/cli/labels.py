"""Make training sequences from unlabelled videos, with the labels that a tracker agrees on.

    rgbt labels --infrared night.mp4 street.mp4 --out data/pseudo
    rgbt labels --pair walk.mp4 walk_ir.mp4 --pair yard/visible yard/infrared --out data/pseudo
    rgbt labels ostrack mine --checkpoint mine.pth.tar --visible walk.mp4 --out data/pseudo

Starts from warm blobs of infrared images and from moving things, follows each in each stream forwards and backwards,
and keeps the spans in which both directions, and both streams of a registered pair, agree.

Writes a folder for each video: sequences in RGBT234's layout, contact sheets and report.json. Videos that have theirs
are left as they are. Look at the contact sheets and remove the sequences whose boxes are wrong.

Where boxes are known, --boxes makes the sequences from them instead, and nothing is followed: `beside` reads
<video>.txt (x,y,w,h of each frame), a CSV file has the columns sequence,video,frame,x,y,w,h.

    rgbt labels --infrared drones/*.mp4 --boxes beside --out data/drones
    rgbt labels --infrared night/*.mp4 --boxes experiments/iimf_lite/pseudo_labels.csv --out data/pseudo
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from ..core.errors import InputError, run
from ..core.paths import ROOT
from ..datasets.camera import CAMERAS
from ..datasets.sequence import INFRARED, VISIBLE
from ..test.evaluation.open import open_run
from ..test.labels.given import Known, read_beside, read_table, write_known
from ..test.labels.make import Source, make_labels
from ..test.labels.spans import Rules
from ..test.labels.video import Search
from ..test.tracker.protocol import Tracker
from .options import Group, add_changes, add_device, add_out, add_seed, add_tracker, add_weights
from .parser import Argv, Parser

TRACKER, CONFIG = "fear", "xs"
CHECKPOINT = ROOT / "pretrained_models" / "fear_xs.safetensors"


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("labels", __doc__, argv)
    add_tracker(parser, what=f"default: {TRACKER} {CONFIG}", required=False)
    add_weights(parser)
    add_device(parser)
    add_changes(parser)
    _add_videos(parser.add_argument_group("videos: files or folders of images"))
    parser.add_argument("--boxes", metavar="beside|CSV", help="make sequences from these boxes; follow nothing")
    _add_search(parser.add_argument_group("labels"))
    add_out(parser, what="folder for the sequences", type=Path, required=True)
    return parser.read()


def _add_videos(group: Group) -> None:
    many: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "metavar": "VIDEO"}
    group.add_argument("--pair", nargs=2, action="append", default=[], metavar=("VISIBLE", "INFRARED"),
                       help="a registered pair; repeat the option for more")  # fmt: skip
    group.add_argument("--infrared", **many, help="infrared alone")
    group.add_argument("--visible", **many, help="visible alone")


def _add_search(group: Group) -> None:
    group.add_argument("--step", type=int, default=Search.step, help="use every so many frames (default: %(default)s)")
    group.add_argument("--span", type=int, default=Search.span,
                       help="used frames that a target is followed through (default: %(default)s)")  # fmt: skip
    group.add_argument("--hop", type=int, default=Search.hop,
                       help="used frames after which new targets are looked for (default: %(default)s)")  # fmt: skip
    group.add_argument("--least_frames", type=int, default=Rules.least_frames,
                       help="shorter sequences are dropped (default: %(default)s)")  # fmt: skip
    group.add_argument("--agreement", type=float, default=Rules.agreement,
                       help="overlap of the boxes forwards and backwards, above (default: %(default)s)")  # fmt: skip
    group.add_argument("--targets", type=int, default=Search.most_targets,
                       help="most new targets each time; of more some are drawn (default: %(default)s)")  # fmt: skip
    group.add_argument("--both", action="store_true",
                       help="pairs: no labels from one stream where the other one is not sure")  # fmt: skip
    add_seed(group, "of the drawing", Search.seed)


def main(argv: Argv = None) -> None:
    """Label the videos one after the other."""
    args = parse_arguments(argv)
    search, sources = read_search(args), read_sources(args)
    if args.boxes:
        write_known(sources, read_known(args.boxes, sources, search.step), args.out)
        return
    tracker = open_tracker(args)
    by = " ".join([args.tracker or TRACKER, args.config or CONFIG, *args.set, *filter(None, [args.checkpoint])])
    make_labels(tracker, by, sources, args.out, search)


def read_search(args: argparse.Namespace) -> Search:
    """The options of the group `labels`. Raises InputError for a value out of range."""
    for name, least in (
        ("step", 1),
        ("least_frames", 2),
        ("hop", 1),
        ("targets", 1),
        ("span", args.least_frames),
    ):
        if getattr(args, name) < least:
            raise InputError(f"--{name} {getattr(args, name)}: expected {least} or more")
    if not 0 < args.agreement < 1:
        raise InputError(f"--agreement {args.agreement}: expected a number between 0 and 1")
    rules = Rules(args.agreement, args.least_frames, not args.both)
    return Search(args.step, args.span, args.hop, args.targets, args.seed, rules)


def read_sources(args: argparse.Namespace) -> list[Source]:
    """The videos. Raises InputError where there is none, and for two of one name."""
    sources = [Source(CAMERAS, tuple(map(Path, pair))) for pair in args.pair]
    sources += [Source((INFRARED,), (Path(path),)) for path in args.infrared]
    sources += [Source((VISIBLE,), (Path(path),)) for path in args.visible]
    if not sources:
        raise InputError("no video: give --infrared, --visible or --pair")
    name, times = Counter(source.name for source in sources).most_common(1)[0]
    if times > 1:
        raise InputError(f"{times} videos are called {name}, but each needs its own folder; rename one")
    return sources


def read_known(boxes: str, sources: list[Source], step: int) -> list[list[Known]]:
    """The known targets of each video. Raises InputError for a table that names other videos."""
    if boxes == "beside":
        return [read_beside(source, step) for source in sources]
    table = read_table(Path(boxes))
    if other := sorted(set(table) - {source.name for source in sources}):
        raise InputError(f"{boxes}: has boxes of {', '.join(other)}, which is not given; add the video or cut its rows")
    return [table.get(source.name, []) for source in sources]


def open_tracker(args: argparse.Namespace) -> Tracker:
    """The tracker that the command line names. Raises InputError for one that reads two cameras."""
    named = args.tracker or args.config or args.runid is not None
    checkpoint = args.checkpoint or (None if named else CHECKPOINT)
    tracker, config = args.tracker or TRACKER, args.config or CONFIG
    opened = open_run(tracker, config, args.set, checkpoint=checkpoint, runid=args.runid, device=args.device)
    if opened.modalities > 1:
        raise InputError(f"{tracker} {config}: reads two cameras, but each stream is followed alone; choose another")
    return opened.load()


if __name__ == "__main__":
    run(main)

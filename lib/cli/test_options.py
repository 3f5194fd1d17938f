"""Options of `rgbt test`: cameras, speed, and a live view."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import InputError
from ..core.visdom import DEFAULT_SERVER, Visdom, parse_server
from ..datasets.camera import CAMERAS
from ..test.demo.live_view import LiveView
from ..test.tracker.forward_pass import CROPS, PRECISIONS
from .options import Group, add_backend, add_visdom


def add_cameras(group: Group) -> None:
    """`args.modality` and `args.fails_at`."""
    group.add_argument(
        "--modality", choices=("both", *CAMERAS), default="both",
        help="visible, infrared: only this camera works, the other stream is black; results go to <config>_<modality> "
        "(default: both)",
    )  # fmt: skip
    group.add_argument(
        "--fails_at", type=int, metavar="FRAME",
        help="with --modality: the other camera fails at this frame (2 or later; the first is 1); results go to "
        "..._fails_at<FRAME>",
    )  # fmt: skip


def add_speed(group: Group) -> None:
    """`args.batch`, `args.precision`, `args.crops`, `args.compile` and `args.backend`."""
    group.add_argument(
        "--batch",
        type=int,
        default=1,
        metavar="N",
        help="batched: sequences that a network tracks at once (default: 1)",
    )
    group.add_argument("--precision", choices=PRECISIONS, default="fp32",
                       help="of the network (default: fp32, as in published results)")  # fmt: skip
    group.add_argument(
        "--crops",
        choices=CROPS,
        default="exact",
        help="exact: with OpenCV; fast: on the device, from JPEG files decoded at reduced size (default: exact)",
    )
    group.add_argument("--compile", action="store_true", help="torch.compile; on a GPU one CUDA graph per step")
    add_backend(group)


def add_watching(group: Group) -> None:
    """`args.debug` and `args.visdom`."""
    group.add_argument(
        "--debug", choices=("visdom",), help="visdom: show frame, search region and score map while the run goes on"
    )
    add_visdom(group, f"the server of --debug visdom (default: {DEFAULT_SERVER})")


def check_watching(args: argparse.Namespace) -> None:
    """Raises InputError for a server without --debug, an address that is none, and several processes."""
    if not args.debug:
        if args.visdom:
            raise InputError(f"--visdom {args.visdom}: is the server of --debug visdom; add that")
        return
    parse_server(args.visdom or DEFAULT_SERVER)
    if args.threads > 1 or args.mode != "single":
        many = f"--threads {args.threads}" if args.threads > 1 else f"--mode {args.mode}"
        raise InputError(f"--debug visdom {many}: shows what one process tracks; leave one of the two out")


@contextmanager
def open_watcher(args: argparse.Namespace, name: str) -> Iterator[LiveView | None]:
    """The live view that the command line asks for, until the run has ended. name: of its windows on the server."""
    if not args.debug:
        yield None
        return
    windows = Visdom(args.visdom or DEFAULT_SERVER, name)
    try:
        yield LiveView(windows)
    finally:
        windows.close()

"""The options that several commands share, each defined once."""

import argparse
from typing import Any

from .parser import Parser

Group = argparse._ActionsContainer  # a parser or one of its groups

_TRACKER = "a folder of experiments/, for example iimf_track"
_CONFIG = "a configuration of that folder, or a YAML file"


def add_tracker(parser: Parser, *, what: str = "", required: bool = True) -> None:
    """Which network: `args.tracker` and `args.config`, as two positional arguments or by name, as other codes have it.

    required: the command ends where one is missing. what: which default is used otherwise, for the help.
    """
    parser.add_argument("tracker", nargs="?", help=_TRACKER)
    parser.add_argument("config", nargs="?", help=f"{_CONFIG}; {what}" if what else _CONFIG)
    named = parser.add_argument_group("the same by name")
    named.add_argument("--tracker_name", "--script", dest="named_tracker", metavar="TRACKER", help="the tracker")
    named.add_argument("--tracker_param", "--config", dest="named_config", metavar="CONFIG", help="the configuration")

    def complete(args: argparse.Namespace) -> None:
        named = {key: vars(args).pop(f"named_{key}") for key in ("tracker", "config")}
        if named["tracker"] and args.tracker and not (args.config or named["config"]):
            args.tracker, args.config = None, args.tracker  # the one positional argument is the configuration
        for key, value in named.items():
            if value and getattr(args, key):
                parser.error(f"the {key} is given twice: {getattr(args, key)} and {value}")
            setattr(args, key, value or getattr(args, key))
        if required and not (args.tracker and args.config):
            parser.error("name a tracker and a configuration, for example: iimf_track tiny")

    parser.afterwards.append(complete)


def add_trackers(parser: Parser, group: Group) -> None:
    """Networks whose results are read: lists `args.trackers` and `args.configs`, positional or by name."""
    parser.add_argument("trackers", nargs="?", metavar="tracker", help=_TRACKER)
    parser.add_argument("configs", nargs="*", metavar="config", help="one or more configurations of it")
    many: dict[str, Any] = {"nargs": "+", "default": []}
    group.add_argument("--tracker_name", "--script", dest="named_trackers", **many, metavar="TRACKER",
                       help="one or more folders of experiments/")  # fmt: skip
    group.add_argument("--tracker_param", "--config", dest="named_configs", **many, metavar="CONFIG",
                       help="one or more configurations")  # fmt: skip

    def complete(args: argparse.Namespace) -> None:
        args.trackers = [*([args.trackers] if args.trackers else []), *vars(args).pop("named_trackers")]
        args.configs = [*args.configs, *vars(args).pop("named_configs")]

    parser.afterwards.append(complete)


def add_weights(group: Group) -> None:
    """Which weights: `args.checkpoint` and `args.runid`."""
    group.add_argument("--runid", type=int, help="epoch of the checkpoint (default: TEST.EPOCH)")
    add_checkpoint(group)


def add_checkpoint(group: Group, otherwise: str = "default: from the newest training run") -> None:
    """`args.checkpoint`; otherwise: what is used without it, for the help."""
    group.add_argument("--checkpoint", help=f"a .pth.tar, .pth or .safetensors file ({otherwise})")


def add_device(group: Group) -> None:
    """`args.device`, a type of device."""
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="auto: a GPU if there is one (default: auto)",
    )


def add_backend(group: Group, **more: Any) -> None:
    """`args.backend`: what computes the network. more: for benchmarks, which compare several."""
    from ..test.tracker.forward_pass import BACKENDS, TORCH  # here: the other options belong to training, too

    group.add_argument(
        "--backend",
        choices=BACKENDS,
        **({"default": TORCH} | more),
        help="onnxruntime: faster on processors; makes graphs of the network at its first use (default: torch)",
    )


def add_visdom(group: Group, what: str) -> None:
    """`args.visdom`: a visdom server. what: is shown there, for the help."""
    group.add_argument(
        "--visdom", default="", metavar="HOST:PORT", help=f"{what}; a run goes on without one (docs/training.md)"
    )


def add_workers(group: Group) -> None:
    """Processes that share the sequences: `args.threads` and `args.num_gpus`."""
    group.add_argument(
        "--threads",
        type=int,
        default=0,
        help="worker processes, each with its own network; 0 or 1: this process alone (default: 0)",
    )
    group.add_argument("--num_gpus", type=int, default=1, help="number of GPUs, which the workers share (default: 1)")


def add_cores(group: Group, more: str = "") -> None:
    """`args.threads` of a benchmark: threads of PyTorch."""
    what = "threads on a CPU (default: PyTorch's choice)"
    group.add_argument("--threads", type=int, default=0, help=f"{what}; {more}" if more else what)


def add_changes(group: Group) -> None:
    """`args.set`: changes of the configuration."""
    group.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="change keys of the configuration, for example TEST.SEARCH_FACTOR=4.5",
    )  # fmt: skip


def add_data(group: Group, default: str | None) -> None:
    """Which sequences: `args.dataset_name` and `args.data_dir`. default: data set; None where it must be given."""
    group.add_argument("--dataset_name", default=default, required=default is None,
                       help="a data set, or 'folder' with --data_dir"
                       + (" (default: %(default)s)" if default else ""))  # fmt: skip
    group.add_argument(
        "--data_dir",
        help="folder of the data set (default: from local.py); with 'folder' any folder of sequences in LasHeR, "
        "RGBT234, LaSOT, OTB or GOT-10k layout",
    )


def add_sequence(group: Group) -> None:
    """`args.sequence`: one sequence of the data set."""
    group.add_argument(
        "--sequence", help="only this sequence: its name, or its index, from 0 as in the OSTrack code base"
    )


def add_out(group: Group, *aliases: str, what: str, metavar: str = "DIR", **more: Any) -> None:
    """`args.out`: where a command writes. aliases: other documented names of the option."""
    group.add_argument("--out", *aliases, metavar=metavar, help=what, **more)


def add_seed(group: Group, what: str, default: int = 0) -> None:
    """`args.seed`, 0 or more."""
    group.add_argument("--seed", type=_seed, default=default, help=f"{what} (default: %(default)s)")


def _seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 or more")
    return number


def add_max_frames(group: Group, *aliases: str, what: str, default: int | None = None) -> None:
    """`args.max_frames`. aliases: as for `add_out`."""
    group.add_argument("--max_frames", *aliases, type=int, metavar="N", default=default, help=what)


def add_named_tracker(group: Group, *, tracker: str, config: str) -> None:
    """`args.tracker` and `args.config` by name only, where the positional arguments are something else."""
    group.add_argument("--tracker_name", "--script", dest="tracker", metavar="TRACKER", help=tracker)
    group.add_argument("--tracker_param", "--config", dest="config", metavar="CONFIG", help=config)

r"""Search for the TEST settings that a set of weights tracks best with; no training.

    rgbt tune iimf_track tiny --checkpoint pretrained_models/iimf_tiny.safetensors \
        --dataset_name folder --data_dir ~/videos --search TEST.SEARCH_FACTOR=3.5,4,4.5,5
    rgbt tune dasiamrpn dasiamrpn_vot --dataset_name got10k_val --threads 6 --num_gpus 2 \
        --search TEST.PENALTY_K=0:0.2:5 TEST.WINDOW_INFLUENCE=0.3:0.5:5 TEST.SIZE_LR=0.2:0.5:4
    rgbt tune dasiamrpn dasiamrpn_big_lt --dataset_name uav20l --objective F --random 60 --seed 1 \
        --search TEST.LONG_TERM.LOW=0.5:0.9 TEST.LONG_TERM.HIGH=0.9:0.99 --map TEST.LONG_TERM.LOW TEST.LONG_TERM.HIGH
    rgbt tune iimf_lite xs --dataset_name lasher_val97 --subset 20 --seed 1 --search default --refine
    rgbt tune iimf_track tiny --dataset_name lasher_val97        the table of finished trials

Values: 1,2,3 (these); 0:0.2:5 (five, evenly spaced); 0.01:1:5:log; with --random also 0:0.2 and 0.01:1:log; `default`
alone stands for the grid that suits the tracker. A sequence is tracked with many settings at a time: its frames are
decoded once, and the network computes all of them in one pass. Every trial has a result folder, and a record once it is
complete. The same command continues an interrupted search, and more values add trials. The unchanged configuration is
always one of the trials.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.config import flatten
from ..core.errors import InputError, run
from ..core.paths import read_local
from ..core.table import format_text
from ..datasets import BENCHMARKS
from ..datasets.named import data_name
from ..models import network_class
from ..test.evaluation.open import Run
from ..test.evaluation.sequences import named_sequences
from ..test.metrics import protocol_of
from ..test.tuning.many_settings import CHECKED, JOINT
from ..test.tuning.report import TuningSet, default_objective, rank_trials, sort_records, trials_table, write_trials
from ..test.tuning.search import (
    TOGETHER,
    SettingSearch,
    allowed_trials,
    decisive,
    draw_sequences,
    make_trials,
    read_records,
    run_search,
    scored_sequences,
)
from ..test.tuning.space import Axis, Setting, draw, grid, parse_axis, refine
from .opened import open_named
from .options import (
    Group,
    add_changes,
    add_data,
    add_device,
    add_out,
    add_seed,
    add_sequence,
    add_tracker,
    add_weights,
    add_workers,
)
from .parser import Argv, Parser

log = logging.getLogger(__name__)

DEFAULT = "default"  # the value of --search for a tracker's own grid


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("tune", __doc__, argv)
    add_tracker(parser)
    _add_space(parser.add_argument_group("what is searched"))
    data = parser.add_argument_group("data: never the test set that you report on")
    add_data(data, "lasher_val97")
    add_sequence(data)
    data.add_argument("--subset", type=int, metavar="N", help="N random sequences of the data set, by --seed")
    _add_how(parser.add_argument_group("how"))
    return parser.read()


def _add_space(group: Group) -> None:
    group.add_argument(
        "--search", nargs="+", action="extend", default=[], metavar="KEY=VALUES",
        help="keys of TEST and their values; every combination is tried; default: the grid that suits the tracker",
    )  # fmt: skip
    group.add_argument(
        "--refine", type=int, nargs="?", const=1, default=0, metavar="N",
        help="then try half steps of the grid around the best settings; N: that often, the steps halved each time",
    )  # fmt: skip
    group.add_argument("--random", type=int, metavar="N", help="try N random settings instead of every combination")
    add_seed(group, "of --random and --subset; a larger N begins with the same settings")
    group.add_argument("--objective", help="figure that trials are sorted by: SR, PR, F, MaxGM, … (default: SR or AO)")
    add_changes(group)


def _add_how(group: Group) -> None:
    add_workers(group)
    group.add_argument(
        "--batch", type=int, default=1, help="batched: sequences that each worker tracks at once (default: 1)"
    )
    group.add_argument(
        "--together", type=int, default=TOGETHER, metavar="N",
        help="settings that follow a sequence at the same time (default: %(default)s; 1: one after the other)",
    )  # fmt: skip
    group.add_argument(
        "--joint", choices=JOINT, default=CHECKED,
        help="checked: settings share a pass of the network where that changes no bit of its numbers; always: also "
        "where it changes their rounding (default: checked)",
    )  # fmt: skip
    add_device(group)
    add_weights(group)
    add_out(group, what="folder of the search (default: <save_dir>/tuning/<tracker>/<config>/<data set>)")
    group.add_argument("--map", nargs=2, metavar="KEY", help="two keys for the map (default: all pairs of the first 4)")


def main(argv: Argv = None) -> None:
    """Run the missing trials; print and write the table of all."""
    args = parse_arguments(argv)
    check_counts(args)
    network = open_named(args)
    if network.refiner is not None:
        raise InputError("TEST.REFINER: settings are searched without a refiner; add --set TEST.REFINER=''")
    axes = axes_of(args, network)
    trials = make_trials(args.tracker, args.config, args.set, settings_of(args, axes))
    sequences, videos = scored_sequences(
        named_sequences(args.dataset_name, args.data_dir, args.sequence, lambda: read_local("test"), network.streams)
    )
    total = len(sequences)
    if args.subset is not None:
        sequences, videos = draw_sequences(sequences, videos, args.subset, args.seed)
    data = data_name(args.dataset_name, args.data_dir)
    test = args.dataset_name.lower() in BENCHMARKS
    if test:
        log.warning(
            "%s is a test set: settings chosen by it must not be published with figures on it", args.dataset_name
        )
    names, seed = tuple(sequence.name for sequence in sequences), None if args.subset is None else args.seed
    tuned_on = TuningSet(data or args.dataset_name, names, total, seed, test)
    inner = Path("tuning", args.tracker, network.config, args.dataset_name)
    folder = Path(args.out or Path(read_local("test")["save_dir"], inner))
    rules, how = protocol_of(args.dataset_name), {"together": args.together, "joint": args.joint}
    search = SettingSearch(folder, trials, sequences, videos, rules, network.weights, data, **how)
    if args.search:
        run_search(search, network.devices, args.batch)
        for depth in range(1, args.refine + 1):
            run_refinement(args, search, network, axes, depth)
    search.known_origins()  # refuses trials on other data
    report(args, network, folder, read_records(folder, videos, network.weights), tuned_on)


def check_counts(args: argparse.Namespace) -> None:
    """Raises InputError for options that ask for nothing, or contradict each other."""
    for option in ("batch", "together", "subset"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise InputError(f"--{option} {value}: expected 1 or more")
    if args.refine < 0:
        raise InputError(f"--refine {args.refine}: expected 0 or more")
    if args.refine and (args.random is not None or not args.search):
        what = "random settings have no steps" if args.random is not None else "there is no grid; add --search"
        raise InputError(f"--refine: half steps of a grid are tried, but {what}")


def axes_of(args: argparse.Namespace, network: Run) -> list[Axis]:
    """The keys that are searched. Raises InputError for wrong texts, and where a tracker has no grid of its own."""
    known = flatten(network.cfg)
    if args.search != [DEFAULT]:
        return [parse_axis(text, known) for text in args.search]
    grid_of = network_class(network.cfg).method_class.search_grid
    if not grid_of:
        raise InputError(f"--search {DEFAULT}: {args.tracker} has no grid of its own; name keys and values")
    log.info("--search %s", " ".join(grid_of))
    return [parse_axis(text, known) for text in grid_of]


def settings_of(args: argparse.Namespace, axes: list[Axis]) -> list[Setting]:
    """The unchanged configuration, and all settings that the command line names."""
    if args.random is None:
        return [{}, *grid(axes)]
    if args.random < 1 or not axes:
        raise InputError(f"--random {args.random}: expected 1 or more draws, and keys to draw: --search KEY=LOW:HIGH")
    return [{}, *draw(axes, args.random, args.seed)]


def run_refinement(args: argparse.Namespace, search: SettingSearch, network: Run, axes: list[Axis], depth: int) -> None:
    """Run the trials around the best one so far. Values that a key does not allow are left out."""
    records = read_records(search.folder, search.videos, search.checkpoint)
    objective = args.objective or default_objective(records)
    best = sort_records(records, objective, decisive(network.cfg))[0]
    trials, refused = allowed_trials(args.tracker, args.config, args.set, refine(axes, best["test"], depth))
    where = " ".join(f"{axis.key}={best['test'][axis.key]}" for axis in axes)
    left_out = f"; {refused} with values that a key does not allow are left out" if refused else ""
    log.info("refinement %d of %d: %d settings around %s%s", depth, args.refine, len(trials), where, left_out)
    if trials:
        run_search(replace(search, trials=trials), network.devices, args.batch)


def report(
    args: argparse.Namespace, network: Run, folder: Path, records: list[dict[str, Any]], tuned_on: TuningSet
) -> None:
    """Print and write the results. matplotlib, whose import takes a second, is only needed here."""
    from ..test.report.style import save_figure
    from ..test.tuning.maps import key_pairs, map_figure

    title = f"{args.tracker}/{network.config} on {tuned_on.name if not args.data_dir else Path(tuned_on.name).name}"
    objective = args.objective or default_objective(records)
    found = rank_trials(title, objective, records, decisive(network.cfg), tuned_on=tuned_on)
    print(format_text(trials_table(found)))
    write_trials(folder, found)
    pairs = [tuple(args.map)] if args.map else key_pairs(found)
    if pairs:
        save_figure(folder / "map.png", map_figure(found, pairs))
    print(f"written to {folder}: trials.md, trials.csv, trials.json{', map.png' if pairs else ''}")


if __name__ == "__main__":
    run(main)

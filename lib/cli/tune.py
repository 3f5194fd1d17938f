r"""Search for the TEST settings that a set of weights tracks best with; no training.

    rgbt tune iimf_track tiny --checkpoint pretrained_models/iimf_tiny.safetensors \
        --dataset_name folder --data_dir ~/videos --search TEST.SEARCH_FACTOR=3.5,4,4.5,5
    rgbt tune dasiamrpn dasiamrpn_vot --dataset_name got10k_val --threads 6 --num_gpus 2 \
        --search TEST.PENALTY_K=0:0.2:5 TEST.WINDOW_INFLUENCE=0.3:0.5:5 TEST.SIZE_LR=0.2:0.5:4
    rgbt tune dasiamrpn dasiamrpn_big_lt --dataset_name uav20l --objective F --random 60 --seed 1 \
        --search TEST.LONG_TERM.LOW=0.5:0.9 TEST.LONG_TERM.HIGH=0.9:0.99 --map TEST.LONG_TERM.LOW TEST.LONG_TERM.HIGH
    rgbt tune iimf_track tiny --dataset_name lasher_val97        the table of finished trials

Values: 1,2,3 (these); 0:0.2:5 (five, evenly spaced); 0.01:1:5:log; with --random also 0:0.2 and 0.01:1:log.
Every trial has a result folder, and a record once it is complete. The same command continues an interrupted search, and
more values add trials. The unchanged configuration is always one of the trials.
"""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.config import flatten
from ..core.errors import InputError, run
from ..core.paths import read_local
from ..core.table import format_text
from ..datasets import BENCHMARKS
from ..datasets.named import data_name
from ..test.evaluation.open import Run, named_sequences
from ..test.metrics import protocol_of
from ..test.tuning.search import SettingSearch, decisive, make_trials, read_records, run_search, scored_sequences
from ..test.tuning.space import Setting, draw, grid, parse_axis
from .opened import open_named
from .options import (
    add_changes,
    add_data,
    add_device,
    add_out,
    add_sequence,
    add_tracker,
    add_weights,
    add_workers,
)
from .parser import Argv, Parser

log = logging.getLogger(__name__)


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("tune", __doc__, argv)
    add_tracker(parser)
    space = parser.add_argument_group("what is searched")
    space.add_argument(
        "--search", nargs="+", action="extend", default=[], metavar="KEY=VALUES",
        help="keys of TEST and their values; every combination is tried",
    )  # fmt: skip
    space.add_argument("--random", type=int, metavar="N", help="try N random settings instead of every combination")
    space.add_argument(
        "--seed", type=int, default=0, help="of --random; a larger N begins with the same settings (default: 0)"
    )
    space.add_argument("--objective", help="figure that trials are sorted by: SR, PR, F, MaxGM, … (default: SR or AO)")
    add_changes(space)
    data = parser.add_argument_group("data: never the test set that you report on")
    add_data(data, "lasher_val97")
    add_sequence(data)
    how = parser.add_argument_group("how")
    add_workers(how)
    how.add_argument(
        "--batch", type=int, default=1, help="batched: sequences that each worker tracks at once (default: 1)"
    )
    add_device(how)
    add_weights(how)
    add_out(how, what="folder of the search (default: <save_dir>/tuning/<tracker>/<config>/<data set>)")
    how.add_argument("--map", nargs=2, metavar="KEY", help="two keys for the heat map (default: the first two)")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Run the missing trials; print and write the table of all."""
    args = parse_arguments(argv)
    if args.batch < 1:
        raise InputError(f"--batch {args.batch}: expected 1 or more sequences")
    network = open_named(args)
    trials = make_trials(args.tracker, args.config, args.set, settings_of(args, flatten(network.cfg)))
    sequences, videos = scored_sequences(
        named_sequences(args.dataset_name, args.data_dir, args.sequence, lambda: read_local("test"), network.streams)
    )
    if args.dataset_name.lower() in BENCHMARKS:
        log.warning(
            "%s is a test set: settings chosen by it must not be published with figures on it", args.dataset_name
        )
    inner = Path("tuning", args.tracker, network.config, args.dataset_name)
    folder = Path(args.out or Path(read_local("test")["save_dir"], inner))
    rules, data = protocol_of(args.dataset_name), data_name(args.dataset_name, args.data_dir)
    search = SettingSearch(folder, trials, sequences, videos, rules, network.weights, data)
    if args.search:
        run_search(search, network.devices, args.batch)
    search.known_origins()  # refuses trials on other data
    report(args, network, folder, read_records(folder, videos, network.weights))


def settings_of(args: argparse.Namespace, known: Mapping[str, Any]) -> list[Setting]:
    """The unchanged configuration, and all settings that the command line names."""
    axes = [parse_axis(text, known) for text in args.search]
    if args.random is None:
        return [{}, *grid(axes)]
    if args.random < 1 or not axes:
        raise InputError(f"--random {args.random}: expected 1 or more draws, and keys to draw: --search KEY=LOW:HIGH")
    return [{}, *draw(axes, args.random, args.seed)]


def report(args: argparse.Namespace, network: Run, folder: Path, records: list[dict[str, Any]]) -> None:
    """Print and write the results. matplotlib, whose import takes a second, is only needed here."""
    from ..test.report.style import save_figure
    from ..test.tuning.report import default_objective, map_figure, rank_trials, trials_table, write_trials

    data = Path(args.data_dir).resolve().name if args.data_dir else args.dataset_name
    title = f"{args.tracker}/{network.config} on {data}"
    objective = args.objective or default_objective(records)
    found = rank_trials(title, objective, records, decisive(network.cfg))
    print(format_text(trials_table(found)))
    write_trials(folder, found)
    keys = args.map or found.keys[:2]
    if len(keys) == 2:
        save_figure(folder / "map.png", map_figure(found, *keys))
    print(f"written to {folder}: trials.md, trials.json{', map.png' if len(keys) == 2 else ''}")


if __name__ == "__main__":
    run(main)

r"""Search for the settings that a set of weights tracks best with: TEST keys of any tracker, no training.

    python tracking/tune.py iimf_track tiny --checkpoint pretrained_models/iimf_tiny.safetensors \
        --dataset_name folder --data_dir ~/videos --search TEST.SEARCH_FACTOR=3.5,4,4.5,5
    python tracking/tune.py dasiamrpn dasiamrpn_vot --dataset_name got10k_val --threads 6 --num_gpus 2 \
        --search TEST.PENALTY_K=0:0.2:5 TEST.WINDOW_INFLUENCE=0.3:0.5:5 TEST.SIZE_LR=0.2:0.5:4
    python tracking/tune.py dasiamrpn dasiamrpn_big_lt --dataset_name uav20l --objective F --random 60 --seed 1 \
        --search TEST.LONG_TERM.LOW=0.5:0.9 TEST.LONG_TERM.HIGH=0.9:0.99 --map TEST.LONG_TERM.LOW TEST.LONG_TERM.HIGH
    python tracking/tune.py iimf_track tiny --dataset_name lasher_val97        the table of what is there already

Values: 1,2,3 (these); 0:0.2:5 (five, evenly spaced); 0.01:1:5:log; with --random also 0:0.2 and 0.01:1:log.
Every trial is a result folder, and its record is written when it is whole; the same command continues, and more values
join what is there. The configuration as it stands is always one of the trials.
"""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.checkpoint import find_checkpoint
from lib.core.config import flatten, load_config
from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.core.table import format_text
from lib.datasets import BENCHMARKS
from lib.test.evaluation.engine import choose_devices
from lib.test.evaluation.open import config_name, named_sequences
from lib.test.metrics import protocol_of
from lib.test.tuning.search import Search, decisive, make_trials, read_records, run_search, scored_sequences
from lib.test.tuning.space import Setting, draw, grid, parse_axis

log = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker_name", help="a folder of experiments/")
    parser.add_argument("tracker_param", help="a configuration in that folder, or a YAML file")
    many = {"nargs": "+", "action": "extend", "default": []}
    space = parser.add_argument_group("what is searched")
    space.add_argument("--search", **many, metavar="KEY=VALUES", help="keys of TEST; every combination of their values")
    space.add_argument("--random", type=int, metavar="N", help="N seeded draws instead of every combination")
    space.add_argument("--seed", type=int, default=0, help="of --random; a larger N begins with the same draws")
    space.add_argument("--objective", help="the figure that trials are sorted by: SR, PR, F, MaxGM, …; default: SR, AO")
    space.add_argument("--set", **many, metavar="KEY=VALUE", help="change keys of the configuration for all trials")
    data = parser.add_argument_group("what it is measured on: not the test set that you report")
    data.add_argument("--dataset_name", default="lasher_val97", help="a data set, or 'folder' with --data_dir")
    data.add_argument("--data_dir", help="where the data set is (default: local.py)")
    data.add_argument("--sequence", help="only this one: its name, or its index from 0")
    how = parser.add_argument_group("how")
    how.add_argument("--threads", type=int, default=0, help="worker processes, each with one network for all trials")
    how.add_argument("--num_gpus", type=int, default=1, help="GPUs that the workers share in turns")
    how.add_argument("--batch", type=int, default=1, help="sequences that each worker follows in lock step; for GPUs")
    how.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    how.add_argument("--runid", type=int, help="epoch of the checkpoint (default TEST.EPOCH)")
    how.add_argument("--checkpoint", help="a .pth.tar, .pth or .safetensors file instead of the newest training's")
    how.add_argument("--out", help="folder of the search; default: <save_dir>/tuning/<tracker>/<config>/<data set>")
    how.add_argument("--map", nargs=2, metavar="KEY", help="the keys of the heat map; default: the first two")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.batch < 1:
        raise InputError(f"--batch {args.batch}: expected 1 or more sequences")
    cfg = load_config(args.tracker_name, args.tracker_param, args.set)
    trials = make_trials(args.tracker_name, args.tracker_param, args.set, settings_of(args, flatten(cfg)))
    devices = choose_devices(args.device, args.threads, args.num_gpus)
    sequences, videos = scored_sequences(
        named_sequences(args.dataset_name, args.data_dir, args.sequence, lambda: read_local("test"))
    )
    if args.dataset_name.lower() in BENCHMARKS:
        log.warning(
            "%s is a test set: settings chosen by it must not be published with figures on it", args.dataset_name
        )
    config = config_name(args.tracker_param)
    epoch = cfg.TEST.EPOCH if args.runid is None else args.runid
    checkpoint = args.checkpoint or find_checkpoint(read_local("test")["save_dir"], args.tracker_name, config, epoch)
    folder = Path(
        args.out or Path(read_local("test")["save_dir"], "tuning", args.tracker_name, config, args.dataset_name)
    )
    protocol = protocol_of(args.dataset_name)
    if args.search:
        run_search(Search(folder, trials, sequences, videos, protocol, Path(checkpoint)), devices, args.batch)
    records = read_records(folder, videos, Path(checkpoint))
    report(args, folder, records, decisive(cfg))


def settings_of(args: argparse.Namespace, known: Mapping[str, Any]) -> list[Setting]:
    """The configuration as it stands, and all settings that the command line asks for."""
    axes = [parse_axis(text, known) for text in args.search]
    if args.random is None:
        return [{}, *grid(axes)]
    if args.random < 1 or not axes:
        raise InputError(f"--random {args.random}: expected 1 or more draws, and keys to draw: --search KEY=LOW:HIGH")
    return [{}, *draw(axes, args.random, args.seed)]


def report(args: argparse.Namespace, folder: Path, records: list[dict[str, Any]], configured: Setting) -> None:
    """Print and write what was found; matplotlib, which takes a second to start, is only needed here."""
    from lib.test.report.style import save_figure
    from lib.test.tuning.report import default_objective, findings_table, map_figure, sort_findings, write_findings

    data = Path(args.data_dir).resolve().name if args.data_dir else args.dataset_name
    title = f"{args.tracker_name}/{config_name(args.tracker_param)} on {data}"
    objective = args.objective or default_objective(records)
    found = sort_findings(title, objective, records, configured)
    print(format_text(findings_table(found)))
    write_findings(folder, found)
    keys = args.map or found.keys[:2]
    if len(keys) == 2:
        save_figure(folder / "map.png", map_figure(found, *keys))
    print(f"written to {folder}: trials.md, trials.json{', map.png' if len(keys) == 2 else ''}")


if __name__ == "__main__":
    run(main)

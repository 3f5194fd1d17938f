r"""Write a tracker's network as graphs that other programs run: ONNX for ONNX Runtime and TensorRT, or torch.export.

    python tracking/export.py iimf_track tiny --output output/tiny_onnx
    python tracking/export.py tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --output output/iimf --precision fp16
    python tracking/export.py iimf_track tiny --output output/tiny_torch --format torch

Writes <output>/template and <output>/search (.onnx or .pt2), for any number of targets at once. Both are run and
compared with the network here first; they are only kept when they agree.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.checkpoint import find_checkpoint
from lib.core.config import load_config
from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.test.export import SUFFIX, check_packages, describe, make_parts, write_part
from lib.test.export_check import TOLERANCE, check, compare
from lib.test.load import config_name, load_tracker
from lib.test.tracker import Tracker


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker_name", help="a folder of experiments/")
    parser.add_argument("tracker_param", help="a configuration in that folder, or a YAML file")
    parser.add_argument("--checkpoint", help="weights, instead of the newest training's")
    parser.add_argument("--output", type=Path, required=True, help="a folder for the two files")
    parser.add_argument("--format", choices=SUFFIX, default="onnx")
    parser.add_argument("--precision", choices=TOLERANCE, default="fp32", help="fp16: weights and most arithmetic")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change keys of the configuration"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.format == "onnx":
        check_packages()
    targets = {name: args.output / f"{name}{SUFFIX[args.format]}" for name in ("template", "search")}
    for target in targets.values():
        if target.exists() and not args.overwrite:
            raise InputError(f"{target}: exists already; choose another --output, or give --overwrite")
    cfg = load_config(args.tracker_name, args.tracker_param, args.set)
    config = config_name(args.tracker_param)
    checkpoint = args.checkpoint or find_checkpoint(
        read_local("test")["save_dir"], args.tracker_name, config, cfg.TEST.EPOCH
    )
    tracker = load_tracker(cfg, checkpoint, "cpu")
    names = {"tracker": args.tracker_name, "config": config, "precision": args.precision}
    export(tracker, names, targets)


def export(tracker: Tracker, names: dict[str, str], targets: dict[str, Path]) -> None:
    """Write, run, compare, and only then put the files in their places."""
    model, geometry = tracker.model, tracker.geometry
    parts = make_parts(model, geometry)
    written = parts if names["precision"] == "fp32" else make_parts(model, geometry, names["precision"])
    folder = targets["search"].parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        files = {name: Path(scratch, target.name) for name, target in targets.items()}
        for name, path in files.items():
            write_part(written[name], path, describe(model, geometry, **names))
        worst = compare(parts, files, geometry, model.modalities)
        check(worst, names["precision"])
        for name, path in files.items():
            path.replace(targets[name])
            print(f"{targets[name]}: {targets[name].stat().st_size / 1e6:.1f} MB")
    for name, difference in worst.items():
        print(f"{name}: largest difference {difference:.1e} (tolerance {TOLERANCE[names['precision']]:g})")


if __name__ == "__main__":
    run(main)

r"""Write a tracker's network as graphs that other programs run: ONNX Runtime, TensorRT, torch.export, OpenCV.

    python tracking/export.py iimf_track tiny --output output/tiny_onnx
    python tracking/export.py tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --output output/iimf --precision fp16
    python tracking/export.py iimf_track tiny --output output/tiny_torch --format torch
    python tracking/export.py dasiamrpn siamrpn_vot --checkpoint SiamRPNVOT.model --output output/vot --format opencv

Writes <output>/template and <output>/search (.onnx or .pt2), for any number of targets at once; for opencv the three
files of its TrackerDaSiamRPN. They are run and compared with the network here first, and only kept when they agree.
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
from lib.test.evaluation.open import config_name, load_tracker
from lib.test.export.check import TOLERANCE, check, compare
from lib.test.export.graphs import SUFFIX, check_packages, describe, make_parts, write_part
from lib.test.export.opencv import FILES, check_network, compare_opencv, write_opencv
from lib.test.tracker.crop_tracker import CropTracker


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker_name", help="a folder of experiments/")
    parser.add_argument("tracker_param", help="a configuration in that folder, or a YAML file")
    parser.add_argument("--checkpoint", help="weights, instead of the newest training's")
    parser.add_argument("--output", type=Path, required=True, help="a folder for the two files")
    parser.add_argument("--format", choices=(*SUFFIX, "opencv"), default="onnx")
    parser.add_argument("--precision", choices=TOLERANCE, default="fp32", help="fp16: weights and most arithmetic")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change keys of the configuration"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.format != "torch":
        check_packages()
    names = FILES.values() if args.format == "opencv" else graph_files(args.format).values()
    for target in (args.output / name for name in names):
        if target.exists() and not args.overwrite:
            raise InputError(f"{target}: exists already; choose another --output, or give --overwrite")
    cfg = load_config(args.tracker_name, args.tracker_param, args.set)
    config = config_name(args.tracker_param)
    checkpoint = args.checkpoint or find_checkpoint(
        read_local("test")["save_dir"], args.tracker_name, config, cfg.TEST.EPOCH
    )
    tracker = load_tracker(cfg, checkpoint, "cpu")
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.output) as scratch:
        if args.format == "opencv":
            lines = export_opencv(tracker, Path(scratch), args.precision)
        else:
            about = {"tracker": args.tracker_name, "config": config, "precision": args.precision}
            lines = export_graphs(tracker, Path(scratch), graph_files(args.format), about)
        for name in names:
            Path(scratch, name).replace(args.output / name)
            print(f"{args.output / name}: {(args.output / name).stat().st_size / 1e6:.1f} MB")
    print("\n".join(lines))


def graph_files(kind: str) -> dict[str, str]:
    """The names of the two graphs' files."""
    return {name: f"{name}{SUFFIX[kind]}" for name in ("template", "search")}


def export_graphs(tracker: CropTracker, folder: Path, files: dict[str, str], about: dict[str, str]) -> list[str]:
    """Write the two graphs and compare; returns what is to be said."""
    method, precision = tracker.method, about["precision"]
    parts = make_parts(method)
    written = parts if precision == "fp32" else make_parts(method, precision)
    paths = {name: folder / file for name, file in files.items()}
    for name, path in paths.items():
        write_part(written[name], path, describe(method, **about))
    worst = compare(parts, paths, method)
    check(worst, TOLERANCE[precision])
    return said(worst, TOLERANCE[precision])


def export_opencv(tracker: CropTracker, folder: Path, precision: str) -> list[str]:
    """Write OpenCV's three files and compare; returns what is to be said."""
    if precision != "fp32":
        raise InputError(f"--precision {precision}: OpenCV's tracker takes fp32")
    network = check_network(tracker.method.network)
    worst = compare_opencv(network, write_opencv(network, folder))
    check(worst, TOLERANCE["fp32"])
    return said(worst, TOLERANCE["fp32"])


def said(worst: dict[str, float], tolerance: float) -> list[str]:
    """A line for each output."""
    return [f"{name}: largest difference {value:.1e} (tolerance {tolerance:g})" for name, value in worst.items()]


if __name__ == "__main__":
    run(main)

r"""Write a tracker's network as graphs for ONNX Runtime, TensorRT, torch.export or OpenCV.

    rgbt export iimf_track tiny --out output/tiny_onnx
    rgbt export tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --out output/iimf --precision fp16
    rgbt export iimf_track tiny --out output/tiny_torch --format torch
    rgbt export alpha_refine secm_r34 --checkpoint SEcmnet_ep0040-c.pth.tar --out output/refiner
    rgbt export dasiamrpn siamrpn_vot --checkpoint SiamRPNVOT.model --out output/vot --format opencv

Writes <out>/template and <out>/search (.onnx or .pt2), for any number of targets at once, of a refiner also
<out>/mask; with --format opencv the three files of cv2.TrackerDaSiamRPN. The files are first run and compared with the
network, and kept only if they agree.
"""

import argparse
from pathlib import Path

from ..core.atomic import check_no_folder, fill_folder
from ..core.errors import InputError, run
from ..core.onnx_file import check_packages
from ..models.method import Method
from ..test.evaluation.open import open_run
from ..test.export.check import TOLERANCE, check, write_checked
from ..test.export.graphs import SUFFIX, graph_files
from ..test.export.opencv import FILES, check_network, compare_opencv, write_opencv
from .options import add_changes, add_out, add_tracker, add_weights
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("export", __doc__, argv)
    add_tracker(parser)
    add_weights(parser)
    add_out(parser, "--output", what="folder for the files", type=Path, required=True)
    parser.add_argument("--format", choices=(*SUFFIX, "opencv"), default="onnx",
                        help="default: onnx; torch: for torch.export; opencv: for cv2.TrackerDaSiamRPN")  # fmt: skip
    parser.add_argument(
        "--precision",
        choices=TOLERANCE,
        default="fp32",
        help="fp16: half precision of weights and most arithmetic (default: fp32)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    add_changes(parser)
    return parser.read()


def main(argv: Argv = None) -> None:
    """Write the graphs into a temporary folder, compare, then move them to --out."""
    args = parse_arguments(argv)
    if args.format != "torch":
        check_packages()
    network = open_run(args.tracker, args.config, args.set, checkpoint=args.checkpoint, runid=args.runid, device="cpu")
    method = network.load_method()
    more = method.further_searches()
    files = FILES if args.format == "opencv" else graph_files(args.out, kind=args.format, more=more)
    names = [Path(file).name for file in files.values()]
    check_no_folder(*(args.out / name for name in names))
    for target in (args.out / name for name in names):
        if target.exists() and not args.overwrite:
            raise InputError(f"{target}: exists already; choose another --out, or give --overwrite")
    with fill_folder(args.out) as scratch:
        if args.format == "opencv":
            lines = export_opencv(method, scratch, args.precision)
        else:
            about = {"tracker": network.tracker, "config": network.config, "precision": args.precision}
            worst = write_checked(method, graph_files(scratch, kind=args.format, more=more), **about)
            lines = difference_lines(worst, TOLERANCE[args.precision])
    for name in names:
        print(f"{args.out / name}: {(args.out / name).stat().st_size / 1e6:.1f} MB")
    print("\n".join(lines))


def export_opencv(method: Method, folder: Path, precision: str) -> list[str]:
    """Write OpenCV's three files and compare them with the network; returns lines to print."""
    if precision != "fp32":
        raise InputError(f"--precision {precision}: OpenCV's tracker takes fp32")
    network = check_network(method.network)
    worst = compare_opencv(network, write_opencv(network, folder))
    check(worst, TOLERANCE["fp32"])
    return difference_lines(worst, TOLERANCE["fp32"])


def difference_lines(worst: dict[str, float], tolerance: float) -> list[str]:
    """One line for each output: its largest difference from the network's."""
    return [f"{name}: largest difference {value:.1e} (tolerance {tolerance:g})" for name, value in worst.items()]


if __name__ == "__main__":
    run(main)

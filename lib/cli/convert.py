r"""Convert a public checkpoint to safetensors, which hold numbers only, or back.

    rgbt convert TBSITrack_ep0015.pth.tar iimf_sot.safetensors \
        --script tbsi_track --config vitb_256_tbsi_32x1_1e4_lasher_15ep_sot
    rgbt convert mae_pretrain_vit_base.pth mae.safetensors
    rgbt convert ViT-B_16.npz vitb16.safetensors
    rgbt convert IIMFTrack_ep0015.pth.tar mine.safetensors --store int8
    rgbt convert IIMFLite_ep0008.pth.tar mine.safetensors --average IIMFLite_ep000[567].pth.tar
    rgbt convert SiamRPNBIG.model siamrpn_big.safetensors --script dasiamrpn --config auto
    rgbt convert DaSiamRPN_ep0050.pth.tar mine.model --script dasiamrpn --config auto \
        --naming original

Reads checkpoints of the OSTrack code base (`net`), DeiT and MAE (`model`), the original ViT release (`.npz`), bare
state dicts of any age, and SiamRPN with the parameter names of the original release, its fork with training, or pysot.
With --script and --config the weights are checked against that network, and parameters that it never uses are left out.
Writes .safetensors or, with any other suffix, a bare state dict as torch.save writes it, for other codes.
"""

import argparse
import logging
from pathlib import Path

import torch

from ..core.checkpoint import save_checkpoint, save_weights
from ..core.compact import compact
from ..core.config import list_configs, load_config
from ..core.errors import InputError, run
from ..models import build_model
from ..models.base import Network
from ..models.pretrained import read_public
from ..models.weights import identify, load_state
from .options import add_named_tracker
from .parser import Argv, Parser

log = logging.getLogger(__name__)


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("convert", __doc__, argv)
    parser.add_argument("source", type=Path, help="the checkpoint to read")
    parser.add_argument("target", type=Path, help="the file to write")
    add_named_tracker(
        parser,
        tracker="a folder of experiments/, to check the weights against",
        config="a configuration of that folder; auto: the first one that the weights fit",
    )
    parser.add_argument(
        "--naming",
        default="toolbox",
        help="names of the parameters in the target: toolbox; for SiamRPN also original, pysot (default: toolbox)",
    )
    parser.add_argument(
        "--store", choices=["as-is", "float16", "int8"], default="as-is",
        help="number format: float16: half the size of float32, about 3 decimal digits; int8: a quarter of it, one "
        "scale per row of a matrix, only in .safetensors (default: as-is)",
    )  # fmt: skip
    parser.add_argument("--average", type=Path, nargs="+", default=[], metavar="FILE",
                        help="more checkpoints, as of the epochs before: the target gets the mean of all")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Read, check, write."""
    args = parse_arguments(argv)
    if args.target.exists() and not args.overwrite:
        raise InputError(f"{args.target}: exists already; choose another name, or give --overwrite")
    if bool(args.tracker) != bool(args.config):
        raise InputError("--script and --config go together; give both or neither")
    if args.store == "int8" and args.target.suffix != ".safetensors":
        raise InputError(f"--store int8: other codes cannot read it in {args.target}; name a .safetensors file")
    if args.naming != "toolbox" and not args.config:
        raise InputError(f"--naming {args.naming}: give --script and --config too")
    weights = average({str(path): read_public(path) for path in [args.source, *args.average]})
    network = identify(weights)
    if args.config:
        model = fitted_model(args.tracker, args.config, weights, str(args.source))
        weights = model.publish(args.naming)
    if args.store == "float16":
        weights = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    elif args.store == "int8":
        weights = compact(weights)
    if args.target.suffix == ".safetensors":
        save_weights(args.target, weights, {"network": network, "source": args.source.name})
    else:
        save_checkpoint(args.target, weights)
    count = sum(value.numel() for value in weights.values() if isinstance(value, torch.Tensor))
    log.info("%s: %s, %.1f M values, %.1f MB", args.target, network, count / 1e6, args.target.stat().st_size / 1e6)


def average(files: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of the weights of several files, by their names; what is no floating-point number is that of the first.

    Raises InputError for files whose weights have other names or shapes.
    """
    (first, weights), *others = files.items()
    shapes = {key: value.shape for key, value in weights.items()}
    for name, other in others:
        if {key: value.shape for key, value in other.items()} != shapes:
            raise InputError(f"{name}: holds other weights than {first}, so that there is no mean; leave it out")
    return {
        key: torch.stack([other[key].double() for other in files.values()]).mean(0).to(value.dtype)
        if others and value.is_floating_point()
        else value
        for key, value in weights.items()
    }


def fitted_model(script: str, config: str, weights: dict[str, torch.Tensor], source: str) -> Network:
    """The network of a configuration with these weights. config: "auto" for the first configuration that they fit.

    Raises InputError where they fit no configuration.
    """
    fitting: dict[str, Network] = {}
    tried: set[str] = set()
    for name in list_configs(script) if config == "auto" else [config]:
        cfg = load_config(script, name)
        if str(cfg.MODEL) in tried:
            continue
        tried.add(str(cfg.MODEL))
        model = build_model(cfg)
        try:
            load_state(model, weights, source)
            fitting[name] = model
        except InputError:
            if config != "auto":
                raise
    if not fitting:
        raise InputError(f"{source}: fits no configuration of experiments/{script}; name another --script")
    if config == "auto":
        log.info("%s: fits %s; tracking may want other TEST constants", source, " and ".join(fitting))
    return next(iter(fitting.values()))


if __name__ == "__main__":
    run(main)

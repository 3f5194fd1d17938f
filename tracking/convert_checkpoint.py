"""Turn any public checkpoint into safetensors, which loads faster and can hold nothing but numbers.

    python tracking/convert_checkpoint.py TBSITrack_ep0015.pth.tar iimf_sot.safetensors \\
        --script tbsi_track --config vitb_256_tbsi_32x1_1e4_lasher_15ep_sot
    python tracking/convert_checkpoint.py mae_pretrain_vit_base.pth mae.safetensors
    python tracking/convert_checkpoint.py ViT-B_16.npz vitb16.safetensors

Read: tracker files of the family (`net`), DeiT and MAE (`model`), the original ViT release (`.npz`), bare state dicts.
With --script and --config the weights are checked against that network and what it never uses is left out.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.checkpoint import identify, load_state, save_weights
from lib.core.config import load_config
from lib.core.errors import InputError, run
from lib.models import build_model
from lib.models.pretrained import read_public

log = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the checkpoint to read")
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    parser.add_argument("--script", help="a folder of experiments/, to check the weights against")
    parser.add_argument("--config", help="a configuration of that folder")
    parser.add_argument("--half", action="store_true", help="store float16: half the size, about 3 decimal digits")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.target.suffix != ".safetensors":
        raise InputError(f"{args.target}: the target's name must end in .safetensors")
    if args.target.exists() and not args.overwrite:
        raise InputError(f"{args.target}: exists already; choose another name, or give --overwrite")
    if bool(args.script) != bool(args.config):
        raise InputError("--script and --config go together; give both or neither")
    weights = read_public(args.source)
    network = identify(weights)
    if args.config:
        cfg = load_config(args.script, args.config)
        model = build_model(cfg)
        load_state(model, weights, str(args.source))
        weights, network = model.state_dict(), cfg.MODEL.NAME
    if args.half:
        weights = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_weights(args.target, weights, {"network": network, "source": args.source.name})
    count = sum(value.numel() for value in weights.values() if isinstance(value, torch.Tensor))
    log.info("%s: %s, %.1f M values, %.1f MB", args.target, network, count / 1e6, args.target.stat().st_size / 1e6)


if __name__ == "__main__":
    run(main)

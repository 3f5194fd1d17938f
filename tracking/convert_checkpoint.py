r"""Convert a public checkpoint to safetensors, which hold numbers only, or back.

    python tracking/convert_checkpoint.py TBSITrack_ep0015.pth.tar iimf_sot.safetensors \
        --script tbsi_track --config vitb_256_tbsi_32x1_1e4_lasher_15ep_sot
    python tracking/convert_checkpoint.py mae_pretrain_vit_base.pth mae.safetensors
    python tracking/convert_checkpoint.py ViT-B_16.npz vitb16.safetensors
    python tracking/convert_checkpoint.py IIMFTrack_ep0015.pth.tar mine.safetensors --store int8
    python tracking/convert_checkpoint.py IIMFLite_ep0008.pth.tar mine.safetensors --average IIMFLite_ep000[567].pth.tar
    python tracking/convert_checkpoint.py SiamRPNBIG.model siamrpn_big.safetensors --script dasiamrpn --config auto
    python tracking/convert_checkpoint.py DaSiamRPN_ep0050.pth.tar mine.model --script dasiamrpn --config auto \
        --naming original
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.convert import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

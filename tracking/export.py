"""Write a tracker's network as graphs for ONNX Runtime, TensorRT, torch.export or OpenCV.

python tracking/export.py iimf_track tiny --out output/tiny_onnx
python tracking/export.py tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --out output/iimf --precision fp16
python tracking/export.py iimf_track tiny --out output/tiny_torch --format torch
python tracking/export.py alpha_refine secm_r34 --checkpoint SEcmnet_ep0040-c.pth.tar --out output/refiner
python tracking/export.py dasiamrpn siamrpn_vot --checkpoint SiamRPNVOT.model --out output/vot --format opencv
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.export import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

"""Validate a checkpoint on pairs of frames: losses, IoU, and the scores on negative pairs.

python tracking/validate.py --script dasiamrpn --config synthetic_small --checkpoint FILE --pairs 2000
python tracking/validate.py --script iimf_track --config tiny --checkpoint pretrained_models/iimf_tiny.safetensors
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.validate import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

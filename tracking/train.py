r"""Train a tracker.

    python tracking/train.py --script iimf_track --config tiny --save_dir ./output/tiny --mode single
    python tracking/train.py --script tbsi_track --config vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k \
        --save_dir ./output/vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k --mode multiple --nproc_per_node 4
    python tracking/train.py --script dasiamrpn --config synthetic_small --weights_dir ./output/weights
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.train import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

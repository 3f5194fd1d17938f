r"""Run a tracker in the VOT toolkit; --register tells the toolkit how to start it.

python tracking/vot_tracker.py --register WORKSPACE iimf_track tiny
python tracking/vot_tracker.py --register WORKSPACE tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --name tbsi
python tracking/vot_tracker.py --register WORKSPACE dasiamrpn dasiamrpn_vot --refine alpha_refine/secm_r34 --masks \
    --mask_threshold 0.65
vot evaluate --workspace WORKSPACE iimf_track_tiny
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.vot import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

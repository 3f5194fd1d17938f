"""Report whether trackers find a target again after it left the frame, and their scores meanwhile.

python tracking/recovery.py dasiamrpn synthetic_small_st synthetic_small_lt --dataset_name synthetic_rgb_leaving
python tracking/recovery.py dasiamrpn dasiamrpn_vot dasiamrpn_vot_lt --dataset_name uav20l --results_dir RESULTS
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.recovery import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

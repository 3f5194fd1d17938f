"""Show parameters, operations and speed of a network; python tracking/benchmark.py measures more.

python tracking/profile_model.py --script tbsi_track --config vitb_256_tbsi_32x1_1e4_lasher_15ep_sot
python tracking/profile_model.py --script iimf_track --config tiny --device cpu
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.profile import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

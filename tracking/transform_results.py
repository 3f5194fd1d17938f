"""Convert results to the format that a benchmark's server or toolkit requires.

python tracking/transform_results.py --tracker_name ostrack --tracker_param <config> --format got10k --out got10k.zip
python tracking/transform_results.py --tracker_name ostrack --tracker_param <config> --format trackingnet --out tn.zip
python tracking/transform_results.py --results DIR --format lasher --out lasher_results
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.transform import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

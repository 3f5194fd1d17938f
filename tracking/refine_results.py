r"""Refine the boxes of anybody's result files with a refiner, and write refined result files.

    python tracking/refine_results.py results/superdimp --refine alpha_refine/secm_r34 --dataset_name lasot \
        --out results/superdimp_refined
    python tracking/refine_results.py results/lost --refine alpha_refine/secm_r34 --dataset_name folder \
        --data_dir ~/videos --masks
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.refine import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

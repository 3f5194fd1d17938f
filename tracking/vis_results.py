"""Draw result files over the frames: several trackers in colours, both streams side by side.

python tracking/vis_results.py --dataset_name lasher_test --results ours=DIR APFNet=DIR --lost APFNet --kept ours
python tracking/vis_results.py --dataset_name folder --data_dir DIR --results ours=DIR APFNet=DIR mfDiMP=DIR
python tracking/vis_results.py --dataset_name lasher_test --results ours=DIR APFNet=DIR --sequence blackboy greyman
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.vis import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

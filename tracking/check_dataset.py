"""Report what is missing, damaged or inconsistent in a data set, before a long run fails on it.

python tracking/check_dataset.py lasher_train
python tracking/check_dataset.py lasher_test --images 20 --out lasher_test.txt
python tracking/check_dataset.py trackingnet_train --images all
python tracking/check_dataset.py folder --data_dir ~/videos
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.check import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

"""Cut a data set to crops of 511 pixels around each target, for Siamese trackers on slow disks.

python tracking/prepare_crops.py imagenetvid
python tracking/prepare_crops.py lasher_train --out /data/crop511 --workers 16
python tracking/prepare_crops.py lasot --step 5
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.crops import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

"""Pack a data set into two files, for disks that are slow with many small files.

python tracking/pack_dataset.py lasher_train
python tracking/pack_dataset.py got10k_vottrain --out /network/packed
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.pack import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

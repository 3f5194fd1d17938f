"""Make training sequences from unlabelled videos, with the labels that a tracker agrees on.

python tracking/make_pseudo_labels.py --infrared night.mp4 street.mp4 --out data/pseudo
python tracking/make_pseudo_labels.py --pair walk.mp4 walk_ir.mp4 --pair yard/visible yard/infrared --out data/pseudo
python tracking/make_pseudo_labels.py ostrack mine --checkpoint mine.pth.tar --visible walk.mp4 --out data/pseudo
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.labels import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

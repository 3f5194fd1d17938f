"""Write synthetic RGB-T sequences in LasHeR's layout, or draw a contact sheet of training pairs.

python tracking/make_synthetic.py --out data/synthetic --number 20 --frames 120
python tracking/make_synthetic.py --out data/synthetic --photos ../photos --split train --size 360x270
python tracking/make_synthetic.py --contact_sheet pairs.png --photos ../photos
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.synthetic import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

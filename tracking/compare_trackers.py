r"""Track several sets of sequences with several trackers, and write one page of tables.

python tracking/compare_trackers.py opencv:static opencv:mil:visible iimf_track:tiny --data_dir DIR --out DIR
python tracking/compare_trackers.py "NanoTrackV2, infrared=opencv:nano:infrared" "IIMF tiny=iimf_track:tiny" \
    --data_dir TNO=DIR RGB=DIR --nano_backbone FILE.onnx --nano_head FILE.onnx --per_sequence --out DIR
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.compare_trackers import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

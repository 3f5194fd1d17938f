"""Compare result folders with the static box and OpenCV's trackers (MIL, NanoTrackV2).

python tracking/compare_opencv.py --data_dir DIR --results tiny=output/test/tracking_results/iimf_track/tiny
python tracking/compare_opencv.py --data_dir DIR DIR --nano_backbone FILE.onnx --nano_head FILE.onnx --out table.md
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.compare_opencv import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

"""Track in the browser: drop two videos, draw a box, watch and download the result.

python tracking/app.py
python tracking/app.py --port 7900 --max_frames 500 --max_megabytes 50
python tracking/app.py --host 0.0.0.0          # everybody in the network can use the app, and so this machine
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.app import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

"""Write the two files that say where data, weights and results are on this machine.

python tracking/create_default_local_file.py --workspace_dir . --data_dir ../ --save_dir ./output
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.init import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

"""Write docs/configuration_keys.md, the reference of all configuration keys.

python tracking/write_configuration_keys.py
python tracking/write_configuration_keys.py --check     # writes nothing; fails if the page is out of date
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.keys import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

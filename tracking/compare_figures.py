"""Score published raw results, and compare the figures with the official toolkits and the papers.

python tracking/compare_figures.py DIR                          a table in the terminal
python tracking/compare_figures.py DIR --out figures.md
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.compare_figures import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

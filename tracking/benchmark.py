"""How fast the toolbox is on this machine, and how much memory it takes.

python tracking/benchmark.py metrics                      scoring of result files
python tracking/benchmark.py data                         training pairs of the loader
python tracking/benchmark.py train                        a training step
python tracking/benchmark.py model                        a network's look at a search region
python tracking/benchmark.py track                        tracking, from files to results
python tracking/benchmark.py metrics --help               what else it takes
python tracking/benchmark.py metrics --json out.json --markdown out.md
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.benchmark import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

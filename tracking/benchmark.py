"""Measure speed and memory on this machine.

python tracking/benchmark.py metrics                      scoring of result files
python tracking/benchmark.py data                         loading of training pairs
python tracking/benchmark.py train                        a training step
python tracking/benchmark.py model                        a forward pass of a network
python tracking/benchmark.py track                        tracking, from image files to result files
python tracking/benchmark.py gpu --minutes 8 --out DIR    everything that needs a GPU
python tracking/benchmark.py metrics --help               its options
python tracking/benchmark.py metrics --json out.json --markdown out.md
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.benchmark import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

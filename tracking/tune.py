r"""Search for the TEST settings that a set of weights tracks best with; no training.

    python tracking/tune.py iimf_track tiny --checkpoint pretrained_models/iimf_tiny.safetensors \
        --dataset_name folder --data_dir ~/videos --search TEST.SEARCH_FACTOR=3.5,4,4.5,5
    python tracking/tune.py dasiamrpn dasiamrpn_vot --dataset_name got10k_val --threads 6 --num_gpus 2 \
        --search TEST.PENALTY_K=0:0.2:5 TEST.WINDOW_INFLUENCE=0.3:0.5:5 TEST.SIZE_LR=0.2:0.5:4
    python tracking/tune.py dasiamrpn dasiamrpn_big_lt --dataset_name uav20l --objective F --random 60 --seed 1 \
        --search TEST.LONG_TERM.LOW=0.5:0.9 TEST.LONG_TERM.HIGH=0.9:0.99 --map TEST.LONG_TERM.LOW TEST.LONG_TERM.HIGH
    python tracking/tune.py iimf_lite xs --dataset_name lasher_val97 --subset 20 --seed 1 --search default --refine
    python tracking/tune.py iimf_track tiny --dataset_name lasher_val97        the table of finished trials
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.tune import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

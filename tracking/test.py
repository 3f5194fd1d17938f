r"""Track the targets of a data set and write one result file for each sequence.

    python tracking/test.py tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --dataset_name lasher_test \
        --threads 6 --num_gpus 1
    python tracking/test.py iimf_track tiny --dataset_name folder --data_dir ~/videos --checkpoint tiny.safetensors
    python tracking/test.py ostrack vitb_256_mae_ce_32x4_ep300 --dataset_name folder --data_dir ~/LaSOT --sequence 0
    python tracking/test.py iimf_track tiny --dataset_name lasher_test --refine alpha_refine/secm_r34 --masks
    python tracking/test.py tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --batch 64 --precision bf16 --compile \
        --mode multiple --nproc_per_node 4
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.test import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

r"""Score result files: tables, plots, intervals, an HTML report.

    python tracking/analysis_results.py --tracker_name tbsi_track --tracker_param <config> --dataset_name lasher_test
    python tracking/analysis_results.py --tracker_name iimf_track --tracker_param tiny --runid 1 2 3 --significance
    python tracking/analysis_results.py --dataset_name lasher_test --annotations DIR --attributes DIR \
        --results APFNet=DIR --results mfDiMP=DIR --csv out.csv --latex tables.tex --plots figures --html report.html
    python tracking/analysis_results.py --dataset_name lasher_test rgbt234 --annotations DIR DIR \
        --results lasher_test:APFNet=DIR rgbt234:APFNet=DIR ours=DIR
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.score import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

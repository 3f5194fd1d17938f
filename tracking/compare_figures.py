"""Score published raw results and lay our figures beside those of the benchmarks' kits and of the papers.

python tracking/compare_figures.py DIR                          a table in the terminal
python tracking/compare_figures.py DIR --markdown figures.md

DIR holds <set>/groundtruth/ and <set>/<tracker>/ for the sets lasher, gtot and rgbt234, as their authors publish them.
Ends with exit status 1 when a figure differs from the kit's by 1e-4 or more.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.atomic import write_atomically
from lib.core.errors import InputError, run
from lib.core.table import format_markdown, format_text
from lib.test.analysis.published import TOLERANCE, compare_figures, comparison_table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", help="raw results and ground truth")
    parser.add_argument("--markdown", metavar="FILE", help="write the table")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    compared = compare_figures(args.folder)
    table = comparison_table(compared)
    print(format_text(table))
    if args.markdown:
        with write_atomically(args.markdown) as temporary:
            temporary.write_text(format_markdown(table) + "\n", encoding="utf-8")
    worst = max(compared, key=lambda item: item.difference)
    if worst.difference >= TOLERANCE:
        name = " ".join(worst.figure[:3])
        raise InputError(
            f"{name}: {worst.ours:.6f} here, {worst.figure.kit:.6f} by the kit; are these the same results?"
        )


if __name__ == "__main__":
    run(main)

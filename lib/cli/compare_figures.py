"""Score published raw results, and compare the figures with the official toolkits and the papers.

    rgbt compare figures DIR                          a table in the terminal
    rgbt compare figures DIR --out figures.md

DIR holds <set>/groundtruth/ and <set>/<tracker>/ for the sets lasher, gtot and rgbt234, as their authors publish them.
The exit status is 1 when a figure differs from the toolkit's by 1e-4 or more.
"""

import argparse

from ..core.atomic import write_atomically
from ..core.errors import InputError, run
from ..core.table import format_markdown, format_text
from ..test.analysis.published import TOLERANCE, compare_figures, comparison_table
from .options import add_out
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("compare figures", __doc__, argv)
    parser.add_argument("folder", metavar="DIR", help="folder of raw results and ground truth")
    add_out(parser, "--markdown", what="write the table into this file, as Markdown", metavar="FILE")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Print the table. Raises InputError where a figure differs from the toolkit's."""
    args = parse_arguments(argv)
    compared = compare_figures(args.folder)
    table = comparison_table(compared)
    print(format_text(table))
    if args.out:
        with write_atomically(args.out) as temporary:
            temporary.write_text(format_markdown(table) + "\n", encoding="utf-8")
    worst = max(compared, key=lambda item: item.difference)
    if worst.difference >= TOLERANCE:
        name = " ".join(worst.figure[:3])
        raise InputError(
            f"{name}: {worst.ours:.6f} here, {worst.figure.kit:.6f} by the kit; are these the same results?"
        )


if __name__ == "__main__":
    run(main)

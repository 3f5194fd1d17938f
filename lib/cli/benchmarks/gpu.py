"""Check and measure everything that needs a GPU, within some minutes: the most valuable first.

rgbt benchmark gpu --minutes 8 --out DIR                  page DIR/results.md, every number in DIR/results.json
rgbt benchmark gpu --minutes 8 --out DIR --reference ../IIMF
rgbt benchmark gpu --device cpu --minutes 2 --out DIR     a rehearsal with narrow networks

Every step is a process that is stopped when its time is over. A step that fails is recorded with its traceback. Results
are written after every step, and nothing outside DIR. What was compiled is used again when the same DIR is given again.
"""

import argparse
import json
import os
from pathlib import Path

from ...core.distributed import choose_device_type
from ...core.errors import InputError
from ...core.measure.benchmark import Report
from ...core.measure.machine import describe_machine, usable_cores
from ...core.measure.steps import DONE, Outcome, Scratch, run_steps
from ...core.table import Table, write_text
from ..gpu_page import write_page
from ..gpu_plan import Plan
from ..options import add_cores, add_device, add_out

_CORES_OF_A_STEP = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, where to, and what there is to compare with."""
    add_out(parser, required=True, what="folder for results and for everything else that is written")
    parser.add_argument("--minutes", type=float, default=8, help="for all steps together (default: 8)")
    parser.add_argument("--golden", metavar="DIR", default=os.environ.get("RGBT_GOLDEN", ""),
                        help="golden values (default: RGBT_GOLDEN, else those of tests/data)")  # fmt: skip
    parser.add_argument("--reference", metavar="DIR", default="", help="a clone of the public IIMF code")
    parser.add_argument("--only", nargs="+", metavar="KIND", default=[],
                        help="only these kinds of steps, such as golden passes")  # fmt: skip
    add_cores(parser)
    add_device(parser)


def measure(args: argparse.Namespace) -> Report:
    """Run the steps. Raises InputError for options that cannot be used."""
    if args.minutes <= 0 or args.threads < 0:
        raise InputError(f"--minutes {args.minutes:g} --threads {args.threads}: expected more than 0; 0 or more")
    if args.reference and not Path(args.reference, "lib").is_dir():
        raise InputError(f"--reference {args.reference}: no folder lib there; give a clone of the public code")
    out, device = Path(args.out), choose_device_type(args.device)
    golden = str(Path(args.golden).resolve()) if args.golden else ""
    plan = Plan(device, Scratch(out), golden, args.reference, args.threads)
    steps = plan.steps()
    kinds = {step.kind for step in steps}
    if unknown := set(args.only) - kinds:
        raise InputError(f"--only {sorted(unknown)[0]}: no such kind; known: {', '.join(sorted(kinds))}")
    steps = [step for step in steps if not args.only or step.kind in args.only]

    def report(outcomes: list[Outcome]) -> None:
        write_text(out / "results.json", json.dumps([one.content() for one in outcomes], indent=1) + "\n")
        write_text(out / "results.md", write_page(outcomes, rehearses=plan.rehearses))

    together = max(1, usable_cores() // (_CORES_OF_A_STEP if device == "cuda" else 1))
    outcomes = run_steps(steps, Scratch(out), seconds=60 * args.minutes, together=together, report=report)
    rows = [["step", "state", "s"], *([one.step.name, one.state, f"{one.seconds:.1f}"] for one in outcomes)]
    done = sum(one.state == DONE for one in outcomes)
    note = f"{done} of {len(outcomes)} steps done; the page: {out / 'results.md'}"
    content = {"machine": describe_machine(), "steps": [one.content() for one in outcomes]}
    return Report([Table("Steps", rows, (note,))], content)

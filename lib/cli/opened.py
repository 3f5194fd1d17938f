"""The tracker that the arguments of a command line name."""

import argparse

from ..test.evaluation.open import Run, open_run
from .refine_options import asked_refiner


def open_named(args: argparse.Namespace) -> Run:
    """What `add_tracker`, `add_changes`, `add_weights`, `add_device` and, where a command has them, `add_workers`,
    `add_refine` and `add_masks` read.

    Raises InputError as `open_run`.
    """
    given = vars(args)
    workers = {name: given[name] for name in ("threads", "num_gpus") if name in given}
    refine = asked_refiner(args) if "refine_checkpoint" in given else None  # `rgbt tune` has another --refine
    return open_run(
        args.tracker,
        args.config,
        args.set,
        checkpoint=args.checkpoint,
        runid=args.runid,
        device=args.device,
        refine=refine,
        **workers,
    )

"""Options of commands whose boxes may be refined, and whose targets may have masks."""

import argparse
import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..datasets.sequence import Sequence
from ..test.evaluation.engine import OnTarget, SaveResult
from ..test.evaluation.open import NO_REFINER, Refine, Run
from ..test.results.masks import FORMS, MaskWriter
from .options import Group

EXAMPLE = "alpha_refine/secm_r34"


def add_refine(group: Group) -> None:
    """`args.refine`, `args.refine_checkpoint` and `args.refine_set`."""
    group.add_argument(
        "--refine", default="", metavar="REFINER",
        help=f"refine every box by this refiner, folder/configuration, such as {EXAMPLE}; {NO_REFINER}: by none "
        "(default: TEST.REFINER)",
    )  # fmt: skip
    group.add_argument("--refine_checkpoint", metavar="FILE",
                       help="weights of the refiner (default: from its newest training run)")  # fmt: skip
    group.add_argument("--refine_set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
                       help="change keys of the refiner's configuration, for example TEST.ROUNDS=2")  # fmt: skip


def add_masks(group: Group, what: str = "write the target's masks into masks/ beside the results") -> None:
    """`args.masks` and `args.mask_threshold`."""
    group.add_argument("--masks", choices=FORMS, nargs="?", const=FORMS[0],
                       help=f"{what}: an image for each frame, or one text of run lengths a sequence, as in VOT "
                       f"(default: {FORMS[0]}); needs a refiner or a tracker with a mask head")  # fmt: skip
    add_threshold(group)


def add_threshold(group: Group) -> None:
    """`args.mask_threshold`."""
    what = "pixels above this probability belong to the target (default: TEST.MASK_THRESHOLD)"
    group.add_argument("--mask_threshold", type=float, metavar="P", help=what)


def asked_refiner(args: argparse.Namespace) -> Refine:
    """The refiner that the options ask for; with masks where the command writes or shows them."""
    masks = bool(vars(args).get("masks", True))
    return Refine(args.refine, args.refine_checkpoint, tuple(args.refine_set), masks)


def masks_of(run: Run) -> Run:
    """The run whose network makes masks: the refiner, else the tracker itself. Raises InputError for a run without one,
    and for a refiner without mask head."""
    maker = run.refiner or run
    if "MASK" not in maker.cfg.TEST:
        raise InputError(f"--masks: {run.name} makes no masks; add --refine {EXAMPLE}")
    if not maker.cfg.TEST.MASK:
        raise InputError(f"--masks: {maker.name} has no mask head (MODEL.MASK); choose another one")
    return maker


def threshold_of(args: argparse.Namespace, run: Run) -> float:
    """The threshold of masks. Raises InputError for one that is no probability."""
    asked = args.mask_threshold
    if asked is not None and not 0 < asked < 1:
        raise InputError(f"--mask_threshold {asked:g}: expected a probability between 0 and 1")
    return float(masks_of(run).cfg.TEST.MASK_THRESHOLD if asked is None else asked)


def masks_words(args: argparse.Namespace, run: Run) -> str:
    """How masks are written, for the record of the results; "" where they are not."""
    return f"{args.masks}, above {threshold_of(args, run):g}" if args.masks else ""


def open_masks(
    args: argparse.Namespace, run: Run, folder: Path, save: SaveResult
) -> tuple[SaveResult, OnTarget | None]:
    """What saves a result and its masks, and what is called after each frame. Raises InputError as `masks_of`."""
    if not args.masks:
        return save, None
    writer = MaskWriter(folder / "masks", args.masks, threshold_of(args, run))
    return functools.partial(save_with_masks, writer, save), writer


@contextmanager
def discard_unfinished(on_target: OnTarget | None, sequences: Iterable[Sequence]) -> Iterator[None]:
    """Where the block fails, remove the masks of sequences that are not finished. on_target: as `open_masks` returns
    it."""
    try:
        yield
    except BaseException:
        if isinstance(on_target, MaskWriter):
            on_target.discard(sequence.name for sequence in sequences)
        raise


def save_with_masks(
    writer: MaskWriter, save: SaveResult, name: str, boxes: np.ndarray, seconds: np.ndarray, confidence: np.ndarray
) -> None:
    """Finish the masks of a sequence, then save its result: where boxes exist, the masks are whole."""
    writer.finish(name)
    save(name, boxes, seconds, confidence)

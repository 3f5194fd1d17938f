"""The boxes that MDNet draws: candidates for the target's place, and examples to learn from.

N boxes, [N, 4] xywh, pixels. All draws come from a generator that the caller seeds.
"""

import zlib
from typing import NamedTuple

import numpy as np
import torch

from ...core.boxes import iou_and_union, xywh_to_xyxy

SMALLEST = 10  # pixels of width and height of a drawn box; it is also that much smaller than the frame
_ROUNDS = 20  # draws of the missing number before fewer boxes are returned


class Spread(NamedTuple):
    """How far boxes are drawn around a box."""

    kind: str  # gaussian: clip(0.5 N(0, 1), -1, 1); uniform: U(-1, 1)
    shift: float  # multiplies the draw for the centre, in means of width and height
    scale: float  # width and height are multiplied by this to the power of a draw
    aspect: float = 1.0  # width is multiplied, and height divided, by this to the power of a uniform draw
    whole: bool = False  # whether boxes stay in the frame; else their centres do


def name_number(name: str) -> int:
    """A number for a target's name, the same in every process."""
    return zlib.crc32(name.encode())


def seeded(seed: int, number: int, age: int, purpose: int) -> np.random.Generator:
    """The generator for what is drawn for one purpose, for a target (number: of its name) in a frame."""
    return np.random.default_rng((seed, number, age, purpose))


def draw_boxes(
    random: np.random.Generator, box: np.ndarray, count: int, spread: Spread, frame: tuple[int, int]
) -> np.ndarray:
    """[count, 4] float32 around a box ([4] xywh). frame: height and width."""
    size = np.array(frame[::-1], np.float32)
    given = np.asarray(box, np.float32)
    centres: np.ndarray
    sizes: np.ndarray
    centres, sizes = np.tile(given[:2] + given[2:] / 2, (count, 1)), np.tile(given[2:], (count, 1))
    if spread.aspect != 1:
        draw = random.uniform(-1, 1, (count, 1))
        sizes = sizes * spread.aspect ** np.concatenate([draw, -draw], axis=1)
    centres = centres + spread.shift * given[2:].mean() * _draw(random, spread.kind, (count, 2))
    sizes = sizes * spread.scale ** _draw(random, spread.kind, (count, 1))
    sizes = np.maximum(np.minimum(sizes, size - SMALLEST), SMALLEST)
    low, high = (sizes / 2, size - sizes / 2 - 1) if spread.whole else (np.zeros(2), size)
    centres = np.minimum(np.maximum(centres, low), np.maximum(high, low))
    return np.concatenate([centres - sizes / 2, sizes], axis=1).astype(np.float32)


def draw_examples(
    random: np.random.Generator,
    box: np.ndarray,
    count: int,
    spread: Spread,
    frame: tuple[int, int],
    *,
    overlaps: tuple[float, float],
    areas: tuple[float, float] = (0, np.inf),
) -> np.ndarray:
    """As `draw_boxes`, only boxes whose IoU with `box` and area relative to it lie in these closed intervals. Fewer
    than `count` where they are rare; at a border of the frame there may be none."""
    found: list[np.ndarray] = []
    missing = count
    for _ in range(_ROUNDS):
        drawn = draw_boxes(random, box, 2 * missing, spread, frame)
        overlap, area = overlaps_with(drawn, box), drawn[:, 2:].prod(1) / np.prod(box[2:])
        good = (overlap >= overlaps[0]) & (overlap <= overlaps[1]) & (area >= areas[0]) & (area <= areas[1])
        found.append(drawn[good][:missing])
        missing -= len(found[-1])
        if not missing:
            break
    return np.concatenate(found)


def overlaps_with(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The IoU of each box with one: [N, 4], [4] -> [N]."""
    first, second = (xywh_to_xyxy(torch.as_tensor(part, dtype=torch.float64)) for part in (boxes, box))
    return iou_and_union(first, second)[0].numpy()


def _draw(random: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    if kind == "gaussian":
        return np.clip(0.5 * random.standard_normal(shape), -1, 1)
    return random.uniform(-1, 1, shape)

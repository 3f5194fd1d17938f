"""What is known of a target while it is followed."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Target:
    """One target after one frame. Picklable: what is needed to go on from here."""

    name: str  # what messages call it: the sequence's name
    box: np.ndarray  # [4] float64, xywh, frame pixels
    score: float = 1.0  # the tracker's confidence in `box`; 1 for a box that the user gave
    found: bool = True  # whether the tracker says that it sees the target in this frame
    age: int = 0  # frames since the first one
    state: Any = None  # of the tracker that follows it; nobody else reads it

"""Rounding halves up or away from zero; Python and NumPy round them to the even neighbour."""

import math

import numpy as np


def round_half_up(value: float) -> int:
    """The nearest whole number, with halves rounded up, as in SiamFC and the trackers derived from it.

    >>> round_half_up(2.5), round_half_up(3.5), round_half_up(-0.5)
    (3, 4, 0)
    """
    return math.floor(value + 0.5)


def round_half_away(values: np.ndarray) -> np.ndarray:
    """The nearest whole numbers, with halves rounded away from zero, as MATLAB's `round`.

    >>> round_half_away(np.array([0.5, 1.5, -2.5, 2.4])).tolist()
    [1.0, 2.0, -3.0, 2.0]
    """
    return np.sign(values) * np.floor(np.abs(values) + 0.5)

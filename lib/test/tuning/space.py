"""The settings that a search tries: every combination of a grid, or random draws with a seed.

TEST.PENALTY_K=0.02,0.05,0.1      these values
TEST.PENALTY_K=0:0.2:5            five from 0 to 0.2, evenly spaced
TEST.SIZE_LR=0.05:0.8             any value between, for draws
TEST.SIZE_LR=0.01:1:5:log         evenly spaced in the logarithm; draws: TEST.SIZE_LR=0.01:1:log
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.bounded import parse_yaml
from ...core.errors import InputError

Setting = dict[str, Any]  # dotted key -> value

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_INTERVAL = re.compile(rf"({_NUMBER}):({_NUMBER})(?::(\d+))?(:log)?")
_DIGITS = 4  # significant ones of a value that was computed


@dataclass(frozen=True)
class Axis:
    """The values that a search gives to one key."""

    key: str
    values: tuple[Any, ...]  # values of a grid; empty: an interval, for draws only
    low: float = math.nan  # of an interval
    high: float = math.nan
    log: bool = False
    whole: bool = False

    def draw(self, generator: np.random.Generator) -> Any:
        """A random value: one of a list, or any between the ends of an interval."""
        if math.isnan(self.low):
            return self.values[generator.integers(len(self.values))]
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = generator.uniform(*ends)
        return _tidy(math.exp(value) if self.log else value, self.whole)


def parse_axis(text: str, known: Mapping[str, Any]) -> Axis:
    """The axis that a text describes; known: dotted key -> value of the configuration, which shows whether it is whole.

    Raises InputError for a malformed text and for keys that need another network or checkpoint.
    """
    key, separator, words = text.partition("=")
    key = key.strip()
    if not (separator and key and words.strip()):
        raise InputError(f"--search {text}: expected KEY=VALUES, for example TEST.SEARCH_FACTOR=3,4,5 or =3:5:5")
    if not key.startswith("TEST.") or key == "TEST.EPOCH":
        why = "it chooses the checkpoint" if key == "TEST.EPOCH" else "another value is another network"
        raise InputError(f"--search {text}: only keys of TEST are searched; {key}: {why}")
    whole = isinstance(known.get(key), int) and not isinstance(known.get(key), bool)
    interval = _INTERVAL.fullmatch(words.strip())
    if interval is None:
        return Axis(key, _parse_values(text, words))
    low, high, count, log = float(interval[1]), float(interval[2]), int(interval[3] or 0), bool(interval[4])
    if not low < high or (log and low <= 0) or count == 1:
        raise InputError(f"--search {text}: expected low:high:count with low below high, above 0 for log, 2 or more")
    spaced = (np.geomspace if log else np.linspace)(low, high, count).tolist()
    return Axis(key, tuple(dict.fromkeys(_tidy(value, whole) for value in spaced)), low, high, log, whole)


def grid(axes: Many[Axis]) -> list[Setting]:
    """Every combination, the last key changing fastest. Raises InputError for an interval without a count."""
    _check_keys(axes)
    for axis in axes:
        if not axis.values:
            remedy = f"give a count ({axis.low:g}:{axis.high:g}:5), or draw settings with --random N"
            raise InputError(f"--search {axis.key}={axis.low:g}:{axis.high:g}: a grid needs values; {remedy}")
    keys = [axis.key for axis in axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]


def draw(axes: Many[Axis], count: int, seed: int) -> list[Setting]:
    """`count` random settings. With the same seed, a larger count begins with the same settings."""
    _check_keys(axes)
    generator = np.random.default_rng(seed)
    return [{axis.key: axis.draw(generator) for axis in axes} for _ in range(count)]


def refine(axes: Many[Axis], best: Mapping[str, Any], depth: int) -> list[Setting]:
    """Settings around the best one: every combination of its values with those half a step of the grid (a quarter at
    depth 2, and so on) below and above, rounded as all computed values; the last key changes fastest.

    best: dotted key -> value. Values that are no numbers stay. The result may hold values that a key does not allow.
    """
    keys = [axis.key for axis in axes]
    around = [_around(axis, best[axis.key], depth) for axis in axes]
    settings = [dict(zip(keys, values, strict=True)) for values in itertools.product(*around)]
    return [setting for setting in settings if any(setting[key] != best[key] for key in keys)]


def _around(axis: Axis, middle: Any, depth: int) -> tuple[Any, ...]:
    """A value and those half a step below and above it."""
    known = sorted({value for value in axis.values if _is_number(value)})
    if len(known) < 2 or len(known) < len(axis.values) or not _is_number(middle):
        return (middle,)
    change = math.log if axis.log else float
    places = [change(value) for value in known]
    at = min(range(len(known)), key=lambda index: abs(known[index] - middle))
    below = places[at] - places[at - 1] if at else places[1] - places[0]
    above = places[at + 1] - places[at] if at + 1 < len(places) else below
    share = 0.5**depth
    back = math.exp if axis.log else float
    whole = axis.whole or all(isinstance(value, int) for value in (*known, middle))
    if axis.log and middle <= 0:
        return (middle,)
    values = (back(change(middle) - share * below), middle, back(change(middle) + share * above))
    return tuple(dict.fromkeys(_tidy(value, whole) for value in values))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_keys(axes: Iterable[Axis]) -> None:
    keys = [axis.key for axis in axes]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"--search: {twice} is given twice; put its values into one list")


def _parse_values(text: str, words: str) -> tuple[Any, ...]:
    try:
        values = parse_yaml(f"[{words}]")
    except ValueError as error:
        raise InputError(f"--search {text}: {words!r} are not YAML values ({error}); quote them") from None
    return tuple(values)


def _tidy(value: float, whole: bool) -> float | int:
    """The value rounded to few digits, so that tables are short, or to a whole number where the key needs one."""
    return round(value) if whole else float(f"{value:.{_DIGITS}g}")

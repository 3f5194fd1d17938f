"""Which images of two streams, and which rows of their annotation, belong together.

Streams are paired by the numbers in the names of their images (`lib.datasets.numbering`). Where these differ by one
constant, streams of equal length are paired in order. Images that are named by times of two clocks are paired by time,
to the nearest; a row then belongs to an image of the stream that has as many. Else a row belongs to a number as well.
T rows of annotation, N numbers from F to L that at least one stream has.

    T = N           row k belongs to the k-th of the numbers
    T = L - F + 1   row k belongs to number F + k: images are missing that are annotated
    T = images      row k belongs to the k-th image of the stream that is annotated
    T = pairs       row k belongs to the k-th pair
    T = L, F > 1    row k belongs to number k + 1: the first images are missing
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_letters
from typing import NamedTuple

from ..core.errors import InputError
from ..core.words import counted
from .numbering import Number, number_streams
from .times import Clock, are_together, pair_nearest, stamp_clock

LETTERS = str.maketrans("", "", ascii_letters)
LEAST_SHARED = 0.5  # of the images of the shorter stream; with fewer the numbers are taken for unrelated
LEAST_REGULAR = 0.5  # of the numbers of a range; with fewer they are taken for times
SHOWN = 3  # numbers in a message


class Match(NamedTuple):
    """What belongs together, in the order of the frames."""

    places: Mapping[str, Sequence[int]]  # stream -> its images
    rows: Mapping[str, Sequence[int]]  # annotation -> its rows; those behind the last row are left out
    frames: Sequence[int]  # their places among all numbers that at least one stream has
    line: str  # what differs and what is used; empty where nothing differs


def match_frames(name: str, streams: Mapping[str, Sequence[Path]], counts: Mapping[str, int]) -> Match:
    """Match one or two streams and their annotations.

    name: of the sequence, for messages; streams: paths in order; counts: rows of each annotation, by its name; a single
    row belongs to the first frame. Raises InputError where it is not clear what belongs together.
    """
    lengths = {len(images) for images in streams.values()} | {count for count in counts.values() if count != 1}
    names = [_names(images) for images in streams.values()] if len(streams) > 1 or len(lengths) > 1 else []
    if len(lengths) == 1 and (not names or _equal(names)):
        every = range(lengths.pop())
        return Match(dict.fromkeys(streams, every), {key: every[:count] for key, count in counts.items()}, every, "")
    clocks = own_times(names)
    if clocks and (len(names[0]) != len(names[1]) or not are_together(clocks)):
        return _match_times(name, list(streams), clocks, counts)
    numbers, shift = _pair(name, dict(zip(streams, number_streams(names), strict=True)))
    return _Matching(name, numbers, shift).match(counts)


def own_times(names: Sequence[Sequence[str]]) -> tuple[Clock, Clock] | None:
    """The clocks of two streams whose images are named by times, where the numbers in their names, such as the times
    themselves, are hardly ever in both; else None. Then only the nearest in time can belong together."""
    one, two = ([*map(stamp_clock, names)] + [None, None])[:2]
    if one is None or two is None:
        return None
    first, second = number_streams(names)
    return None if len(set(first) & set(second)) >= LEAST_SHARED * min(len(first), len(second)) else (one, two)


def _match_times(name: str, streams: Sequence[str], clocks: tuple[Clock, Clock], counts: Mapping[str, int]) -> Match:
    """Each image of the first stream with the nearest in time of the second."""
    pairs = pair_nearest(clocks)
    places = dict(zip(streams, (pairs.first.tolist(), pairs.second.tolist()), strict=True))
    lengths = dict(zip(streams, (len(clock.times) for clock in clocks), strict=True))
    one, two = streams
    shown = f"{one} and {two} images are named by times of their own: each {one} one gets the {two} one nearest in time"
    parts = [f"{shown}, at most {pairs.farthest:.2g} s from it"]
    if len(pairs.first) < lengths[one]:
        parts.append(f"{lengths[one] - len(pairs.first)} of {lengths[one]} {one} images have none and are left out")
    rows: dict[str, Sequence[int]] = {}
    for key, count in counts.items():
        fits = [stream for stream in streams if lengths[stream] == count]
        own = next((stream for stream in fits if key.endswith(stream)), fits[0] if fits else "")
        if own:
            rows[key] = places[own]
        elif count == len(pairs.first) or (count == 1 and pairs.first[0] == 0):
            rows[key] = range(count)
        elif count == 1:
            raise InputError(
                f"{name}: {shown}, the first {one} image none; the only box belongs to it; give the boxes of all frames"
            )
        else:
            raise InputError(
                f"{name}: {shown}; {count} {key.replace('_', ' ')} belong to neither the {lengths[one]} {one} nor the "
                f"{lengths[two]} {two} images; write one row for each {one} image"
            )
    return Match(places, rows, places[one], "; ".join(parts))


class _Matching:
    """The numbers of the frames of one sequence."""

    def __init__(self, name: str, numbers: Mapping[str, Sequence[Number]], shift: str):
        self.name, self.numbers, self.shift = name, numbers, shift
        self.union = sorted(set().union(*numbers.values()))
        shared = set(self.union).intersection(*numbers.values())
        self.shared = [number for number in self.union if number in shared]
        first, last = self.union[0][0], self.union[-1][0]
        self.step = step = math.gcd(*(number[0] - first for number in self.union)) or 1
        span = (last - first) // step + 1
        self.regular = len(self.union[0]) == 1 and LEAST_REGULAR * span <= len(self.union)
        self.range = [(number,) for number in range(first, last + 1, step)] if self.regular else self.union

    def match(self, counts: Mapping[str, int]) -> Match:
        """The shared numbers up to where an annotation ends, with their rows."""
        rows = {key: self._rows(key, count) for key, count in counts.items()}
        ends = [key for key, count in counts.items() if count != 1]
        inside = [k for k in range(len(self.shared)) if all(rows[key][k] < counts[key] for key in ends)]
        if not inside:
            raise InputError(f"{self.name}: {self._found(counts)}; none of the rows belongs to an image")
        used = [self.shared[k] for k in inside]
        places = {key: [bisect_left(numbers, number) for number in used] for key, numbers in self.numbers.items()}
        kept = {key: [found[k] for k in inside] if key in ends else [0] for key, found in rows.items()}
        frames = [bisect_left(self.union, number) for number in used]
        return Match(places, kept, frames, self._line(counts, [*places.values(), *(kept[key] for key in ends)]))

    def _rows(self, key: str, count: int) -> list[int]:
        """The row of each shared number, which may lie behind the last one."""
        streams = list(self.numbers)
        own = self.numbers[streams[-1] if key.endswith(streams[-1]) else streams[0]]
        first, last = self.union[0][0], self.union[-1][0]
        if count == 1:
            if self.shared[0] != own[0]:
                raise InputError(
                    f"{self.name}: {self._lacking(self.union)}; the only box belongs to frame {_show(own[:1])}, which "
                    "is not in both streams; add the image, or give the boxes of all frames"
                )
            return list(range(len(self.shared)))
        for order in (self.union, self.range, own, self.shared):
            if count == len(order):
                return [bisect_left(order, number) for number in self.shared]
        if self.regular and self.step == 1 and first > 1 and count == last:
            return [number[0] - 1 for number in self.shared]
        if self.regular and self.range != self.union:
            raise InputError(
                f"{self.name}: {self._found({key: count})}; {self._lacking(self.range)}; it is not clear which rows "
                "belong to which images; add the missing images, or write one row per image"
            )
        return [bisect_left(self.union, number) for number in self.shared]

    def _line(self, counts: Mapping[str, int], used: Sequence[Sequence[int]]) -> str:
        """used: the places that are used, of each stream and annotation."""
        length = len(used[0])
        if {length, *map(len, self.numbers.values()), *counts.values()} <= {1, length}:
            return self.shift
        parts = [self.shift, self._found(counts)]
        if all(places[-1] == length - 1 for places in used):
            parts.append("only the first frame is used" if length == 1 else f"only the first {length} frames are used")
        else:
            parts.append(self._lacking(self.range if len(self.range) in counts.values() else self.union))
            parts.append(f"only the {length} frames that all have are used, paired by the numbers of the images")
        return "; ".join(filter(None, parts))

    def _found(self, counts: Mapping[str, int]) -> str:
        shown = [counted(len(numbers), f"{stream} image") for stream, numbers in self.numbers.items()]
        return ", ".join(shown + [f"{count} {key.replace('_', ' ')}" for key, count in counts.items() if count != 1])

    def _lacking(self, expected: Sequence[Number]) -> str:
        lacking = {stream: sorted(set(expected) - set(numbers)) for stream, numbers in self.numbers.items()}
        return ", ".join(f"{stream} lacks {_show(numbers)}" for stream, numbers in lacking.items() if numbers)


def _pair(name: str, numbers: dict[str, list[Number]]) -> tuple[dict[str, list[Number]], str]:
    """The numbers by which streams are paired, and a line where these are not those of their names."""
    if len(numbers) == 1:
        return numbers, ""
    (one, first), (two, second) = numbers.items()
    shared = len(set(first) & set(second))
    if first == second:
        return numbers, ""
    shown = f"{one} is numbered {_show(first)}, {two} {_show(second)}"
    if len(first) == len(second):
        pairs = list(zip(first, second, strict=True))
        simple = len(first[0]) == len(second[0]) == 1
        shifted = simple and len({mine[0] - other[0] for mine, other in pairs}) == 1
        regular = simple and all(LEAST_REGULAR * (part[-1][0] - part[0][0]) < len(part) for part in (first, second))
        if shifted or (not regular and shared < LEAST_SHARED * len(first)):
            return {one: first, two: first}, f"{shown}; the two are paired in order"
    if shared < LEAST_SHARED * min(len(first), len(second)):
        raise InputError(
            f"{name}: {shown}; {shared} numbers are in both, so it is not clear which images belong together; "
            "give images of one moment the same number"
        )
    return numbers, ""


def _names(images: Sequence[Path]) -> Sequence[str]:
    return images.names if hasattr(images, "names") else [path.name for path in images]


def _equal(names: Sequence[Sequence[str]]) -> bool:
    """Whether the names of two streams differ in letters alone: v000001.jpg and i000001.png."""
    return len({tuple(name.translate(LETTERS) for name in stream) for stream in names}) == 1


def _show(numbers: Sequence[Number]) -> str:
    """1; 1 and 2; 1, 2 and 3; 1 to 9; 1, 3, 7 and 5 more"""
    shown = ["-".join(map(str, number)) for number in numbers]
    consecutive = len(numbers[0]) == 1 and numbers[-1][0] - numbers[0][0] == len(numbers) - 1
    if len(shown) > SHOWN:
        if consecutive:
            return f"{shown[0]} to {shown[-1]}"
        return f"{', '.join(shown[:SHOWN])} and {len(shown) - SHOWN} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))

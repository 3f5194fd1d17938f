"""Reading numbers from text files: annotations, flags and result files of any origin."""

import re
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from .index import cached_numbers

SEPARATOR = re.compile(r"\s*,\s*|\s+")
LINE_END = re.compile(r"\r*\n|\r")  # RGBT234's kite2/infrared.txt ends one line with a lone carriage return


def read_numbers(path: str | Path, columns: int = 4) -> np.ndarray:
    """[rows, columns] float64 from a text file of one row per line.

    Numbers may be separated by commas, tabs or blanks; CRLF, a byte order mark, trailing empty lines and NaN are
    accepted. Raises InputError with file and line for anything else, so that rows and frames stay in step.
    """
    return cached_numbers(path, columns, lambda: parse_numbers(path, read_lines(path), columns))


def parse_numbers(path: str | Path, lines: list[str], columns: int) -> np.ndarray:
    """[rows, columns] float64 from the lines of a file, which is named in messages. Raises as `read_numbers` does."""
    if not lines:
        raise InputError(f"{path}: file is empty; expected {columns} numbers per line")
    try:  # numpy's reader is four times as fast; what it refuses is parsed line by line
        values = np.loadtxt(lines, delimiter="," if "," in lines[0] else None, comments=None, ndmin=2)
        if values.shape == (len(lines), columns) and not np.isinf(values).any():
            return values
    except ValueError:
        pass
    return np.array([_row(path, number, line, columns) for number, line in enumerate(lines, 1)])


def read_boxes(path: str | Path) -> np.ndarray:
    """[T, 4] float64 `xywh` pixels. Raises InputError as `read_numbers` does."""
    return read_numbers(path, 4)


def read_flags(path: str | Path) -> np.ndarray:
    """[T] bool from 0/1 flags, one per line (TLP, GOT-10k) or all in one line (LaSOT, LasHeR attributes)."""
    fields = SEPARATOR.split("\n".join(read_lines(path)))
    odd = sorted(set(fields) - {"0", "1"})
    if odd:
        raise InputError(f"{path}: expected flags 0 or 1, got {odd[0]!r}")
    return np.array(fields) == "1"


def read_lines(path: str | Path) -> list[str]:
    """The stripped lines of a text file, without empty ones at the end. Raises InputError when it cannot be read."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8; save it as plain text") from None
    except FileNotFoundError:
        raise InputError(f"{path}: file does not exist") from None
    text = text.rstrip()
    lines = LINE_END.split(text) if "\r" in text else text.split("\n")
    return [line.strip() for line in lines] if text else []


def _row(path: str | Path, number: int, line: str, columns: int) -> list[float]:
    fields = SEPARATOR.split(line)
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    if len(values) != columns or np.isinf(values).any():
        raise InputError(f"{path}: line {number}: expected {columns} numbers, got {line[:60]!r}")
    return values

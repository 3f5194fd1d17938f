"""Writing results in the format of a benchmark's server or kit, as a folder or a zip file.

To add a format: one function here and one line in `FORMATS`.
"""

import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.atomic import fill_folder, write_atomically
from ...core.errors import InputError
from ...core.names import check_distinct
from ...core.registry import choose


class Result(NamedTuple):
    """The result of a tracker on one sequence."""

    name: str
    boxes: np.ndarray  # [T, 4] xywh pixels
    seconds: np.ndarray | None = None  # [T] per frame


class Format(NamedTuple):
    """How a result is written, and which sequences the server or kit expects."""

    files: Callable[[Result], dict[str, str]]  # relative path -> text
    expected: Callable[[], list[str]] | int | None = None  # names of all sequences, or their number; None: any
    needs_seconds: bool = False


def write_submission(form: str, results: Iterable[Result], out: str | Path) -> int:
    """Write results into a new folder or a .zip file; returns the number of sequences.

    Raises InputError for an unknown format, for missing or unexpected sequences, for results without times where the
    format needs them, and for a folder that is not empty.
    """
    chosen = FORMATS[choose("format", form, FORMATS)]
    results = list(results)
    _check_names(form, chosen, [result.name for result in results])
    untimed = [result.name for result in results if chosen.needs_seconds and result.seconds is None]
    if untimed:
        raise InputError(f"{form} needs times: {len(untimed)} results have no <sequence>_time.txt, first {untimed[0]}")
    files: dict[str, str] = {}
    for result in results:
        files |= chosen.files(result)
    _write(files, Path(out))
    return len(results)


def _write(files: Mapping[str, str], out: Path) -> None:
    if out.suffix.lower() == ".zip":
        with write_atomically(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not empty; choose another --out, nothing is overwritten")
    check_distinct(files, out)
    with fill_folder(out) as scratch:
        for name, text in files.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")


def _check_names(form: str, chosen: Format, names: list[str]) -> None:
    if isinstance(chosen.expected, int):
        if len(names) != chosen.expected:
            raise InputError(f"{form} expects {chosen.expected} sequences, {len(names)} are there; track the others")
    elif chosen.expected is not None:
        expected = chosen.expected()
        missing = [name for name in expected if name not in set(names)]
        surplus = [name for name in names if name not in set(expected)]
        if missing:
            raise InputError(f"{form}: {len(missing)} of {len(expected)} sequences are missing, first {missing[0]}")
        if surplus:
            raise InputError(f"{form}: {surplus[0]} is not a sequence of that test set; remove its result")


def _rows(boxes: np.ndarray, separator: str, decimals: int = 4) -> str:
    """One line per box, numbers without trailing zeros. A lost target is written as NaN."""
    lines = []
    for row in np.round(np.asarray(boxes, np.float64), decimals) + 0.0:  # + 0.0: no minus before a zero
        lines.append(separator.join(np.format_float_positional(value, trim="-").replace("nan", "NaN") for value in row))
    return "\n".join(lines) + "\n"


def _seconds(seconds: np.ndarray) -> str:
    return "".join(f"{value:.8f}\n" for value in seconds)


def _family(result: Result) -> dict[str, str]:
    """The OSTrack code base: tabs, whole pixels, truncated towards zero."""
    if not np.isfinite(result.boxes).all():
        raise InputError(f"{result.name}: format family holds whole pixels, but this result has NaN; repair it first")
    files = {f"{result.name}.txt": _rows(np.trunc(result.boxes), "\t")}
    return files if result.seconds is None else files | {f"{result.name}_time.txt": _seconds(result.seconds)}


def _lasher(result: Result) -> dict[str, str]:
    """LasHeR's kit: commas."""
    return {f"{result.name}.txt": _rows(result.boxes, ",")}


def _rgbt234(result: Result) -> dict[str, str]:
    """The MPR-MSR kit: tabs; rectangles, since it would round corners to whole pixels."""
    return {f"{result.name}.txt": _rows(result.boxes, "\t")}


def _got10k(result: Result) -> dict[str, str]:
    """got10k.aitestunion.com: a folder for each sequence, commas, times."""
    files = {f"{result.name}/{result.name}_001.txt": _rows(result.boxes, ",")}
    if result.seconds is not None:
        files[f"{result.name}/{result.name}_time.txt"] = _seconds(result.seconds)
    return files


def _trackingnet(result: Result) -> dict[str, str]:
    """TrackingNet's server: commas, all files at the top."""
    return {f"{result.name}.txt": _rows(result.boxes, ",")}


def _vot(result: Result) -> dict[str, str]:
    """The unsupervised experiment of the VOT toolkit: the first row is the code of a start, then commas."""
    folder = f"baseline/{result.name}/{result.name}_001"
    files = {f"{folder}.txt": "1\n" + (_rows(result.boxes[1:], ",") if len(result.boxes) > 1 else "")}
    return files if result.seconds is None else files | {f"{folder}_time.value": _seconds(result.seconds)}


def _got10k_names() -> list[str]:
    return [f"GOT-10k_Test_{index:06d}" for index in range(1, 181)]


FORMATS = {
    "family": Format(_family),
    "lasher": Format(_lasher),
    "rgbt234": Format(_rgbt234),
    "got10k": Format(_got10k, _got10k_names, needs_seconds=True),
    "trackingnet": Format(_trackingnet, 511),
    "vot": Format(_vot),
}

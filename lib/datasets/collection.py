"""Reading the sequences of a set one by one. The first that cannot be read ends it, as it must before a run; whoever
checks a set hears of all of them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

from ..core.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

_problems: ContextVar[list[str] | None] = ContextVar("problems", default=None)


@contextmanager
def collect_problems() -> Iterator[list[str]]:
    """Inside, a sequence that cannot be read is left out, and what is wrong with it is a line of the list."""
    problems: list[str] = []
    token = _problems.set(problems)
    try:
        yield problems
    finally:
        _problems.reset(token)


def refuse(messages: Iterable[str], message: str) -> None:
    """Raise InputError with `message`, which names the first case and how many there are; where problems are
    collected, note each of `messages` instead. Nothing happens when there are none."""
    cases = list(messages)
    problems = _problems.get()
    if cases and problems is None:
        raise InputError(message)
    if problems is not None:
        problems.extend(cases)


def read_each(read: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`read` of every item. Raises InputError as `read` does, or notes it where problems are collected."""
    problems = _problems.get()
    if problems is None:
        return [read(item) for item in items]
    results = []
    for item in tqdm(list(items), desc="reading", unit="sequence", dynamic_ncols=True):
        try:
            results.append(read(item))
        except InputError as error:
            problems.append(str(error))
    return results

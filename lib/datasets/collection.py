"""Reading the sequences of a set one by one. The first unreadable sequence raises an error, as it must before a run;
inside `collect_problems` all problems are collected instead, for a check of the set."""

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
    """In this context an unreadable sequence is left out, and its problem is appended to the list as one line."""
    problems: list[str] = []
    token = _problems.set(problems)
    try:
        yield problems
    finally:
        _problems.reset(token)


def refuse(messages: Iterable[str], message: str) -> None:
    """Raise InputError with `message`, which names the first case and the number of cases; where problems are
    collected, append each of `messages` instead. Does nothing when there are no cases."""
    cases = list(messages)
    problems = _problems.get()
    if cases and problems is None:
        raise InputError(message)
    if problems is not None:
        problems.extend(cases)


def read_each(read: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`read` of every item. Raises InputError as `read` does, or appends it where problems are collected."""
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

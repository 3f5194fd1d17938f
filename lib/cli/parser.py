"""The argument parser of every command."""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence

from .commands import as_scripts

#: What follows `rgbt <name>`; None where a script of `tracking/` was started, whose arguments are in sys.argv.
Argv = Sequence[str] | None

_NUMBERS = re.compile(r"-[\d.][\d.eE+-]*(,[^,]*)+")


class Parser(argparse.ArgumentParser):
    """The arguments of one command."""

    def __init__(self, name: str, about: str | None, argv: Argv, epilog: str | None = None):
        """about: the command's docstring, whose examples begin with `rgbt`. The help of a script (argv None) shows them
        as commands of `tracking/`."""
        super().__init__(
            prog=None if argv is None else f"rgbt {name}",
            description=as_scripts(about or "") if argv is None else about,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.argv = sys.argv[1:] if argv is None else list(argv)
        self.afterwards: list[
            Callable[[argparse.Namespace], None]
        ] = []  # called with the parsed arguments, to complete them

    def read(self) -> argparse.Namespace:
        """The parsed arguments; positional ones may stand anywhere among the options."""
        for before, word in zip(["", *self.argv], self.argv, strict=False):
            if not word or re.fullmatch(r"--\w+=", word):  # a default would be taken without a word
                option = next((text.rstrip("=") for text in (word, before) if text.startswith("-")), "an argument")
                self.error(f"{option}: the value is empty; is a variable of the shell not set?")
        args = self.parse_intermixed_args(list(_join_negative(self.argv)))
        for complete in self.afterwards:
            complete(args)
        return args


def _join_negative(argv: Sequence[str]) -> Iterator[str]:
    """The arguments; numbers that begin with a minus, which would be taken for options, are joined to their option.

    >>> list(_join_negative(["--box", "-5,3,20,30", "--heat"]))
    ['--box=-5,3,20,30', '--heat']
    """
    option = ""
    for word in argv:
        if option and _NUMBERS.fullmatch(word):
            yield f"{option}={word}"
            option = ""
            continue
        if option:
            yield option
        option = word if word.startswith("--") and "=" not in word else ""
        if not option:
            yield word
    if option:
        yield option

"""The argument parser of every command."""

import argparse
import sys
from collections.abc import Callable, Sequence

from .commands import as_scripts

#: What follows `rgbt <name>`; None where a script of `tracking/` was started, whose arguments are in sys.argv.
Argv = Sequence[str] | None


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
        args = self.parse_intermixed_args(self.argv)
        for complete in self.afterwards:
            complete(args)
        return args

"""One way to make a command's parser and to read its words."""

import argparse
import sys
from collections.abc import Callable, Sequence

from .commands import as_scripts

Argv = Sequence[str] | None


class Parser(argparse.ArgumentParser):
    """The arguments of one command."""

    def __init__(self, name: str, about: str | None, argv: Argv, epilog: str | None = None):
        """about: the docstring, with examples as `rgbt` takes them; words: what followed `rgbt <name>`, None where a
        script of `tracking/` was started, whose help then shows the scripts."""
        super().__init__(
            prog=None if words is None else f"rgbt {name}",
            description=as_scripts(about or "") if words is None else about,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.words = sys.argv[1:] if words is None else list(words)
        self.afterwards: list[Callable[[argparse.Namespace], None]] = []  # complete what was read

    def read(self) -> argparse.Namespace:
        """The arguments; positional ones may stand anywhere among the options."""
        args = self.parse_intermixed_args(self.words)
        for complete in self.afterwards:
            complete(args)
        return args

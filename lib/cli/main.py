"""`rgbt <command>`: every command of the toolbox under one name."""

import difflib
import importlib.metadata
import sys

from ..core.errors import InputError, run
from .commands import GROUPS, SCRIPTS, load_command, purpose

PACKAGE = "rgbt-tracking-toolbox"


def main() -> None:
    """The console command."""
    run(dispatch)


def dispatch() -> None:
    """Run the command that the first arguments name. Raises InputError, with the nearest name, for an unknown one."""
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return
    if argv[0] in ("-V", "--version"):
        print(f"rgbt {importlib.metadata.version(PACKAGE)}")
        return
    name = next((name for name in (" ".join(argv[:2]), argv[0]) if name in SCRIPTS), None)
    if name is None:
        raise InputError(f"rgbt {argv[0]}: no such command; {suggest(' '.join(argv[:2]))}")
    load_command(name).main(argv[len(name.split()) :])


def overview() -> str:
    """One line for each command."""
    lines = ["usage: rgbt <command> [arguments]        rgbt <command> --help shows its examples and options"]
    width = max(map(len, SCRIPTS))
    for group, names in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:{width}}  {purpose(name)}" for name in names)]
    return "\n".join(lines)


def suggest(typed: str) -> str:
    """What to type instead: the command with the nearest name, or whose script has the nearest name."""
    first = typed.split()[0]
    near = [name for name in SCRIPTS if name.split()[0] == first]
    known = {name: name for name in SCRIPTS} | {script: name for name, script in SCRIPTS.items() if script}
    near = near or [known[text] for text in difflib.get_close_matches(first, known, n=1, cutoff=0.5)]
    return f"did you mean: {' or '.join(f'rgbt {name}' for name in near)}?" if near else "rgbt --help lists them"


if __name__ == "__main__":
    main()

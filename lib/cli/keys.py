"""Write docs/configuration_keys.md, the reference of all configuration keys.

rgbt keys
rgbt keys --check     # writes nothing; fails if the page is out of date
"""

from ..core.atomic import write_atomically
from ..core.errors import InputError, run
from ..core.key_reference import COMMAND, REFERENCE, write_reference
from ..core.paths import IS_CHECKOUT
from .parser import Argv, Parser


def main(argv: Argv = None) -> None:
    """Write the page, or compare it."""
    parser = Parser("keys", __doc__, argv)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    args = parser.read()
    if not IS_CHECKOUT:
        raise InputError("keys: writes a page of the repository; run it in a checkout")
    text = write_reference()
    if args.check:
        if not REFERENCE.is_file() or REFERENCE.read_text(encoding="utf-8") != text:
            raise InputError(f"{REFERENCE}: is out of date; write it with: {COMMAND}")
        return
    with write_atomically(REFERENCE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"written: {REFERENCE}")


if __name__ == "__main__":
    run(main)

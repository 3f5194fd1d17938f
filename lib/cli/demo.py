"""Track the target of the bundled sequence; write a video, a contact sheet and the boxes with scores.

    rgbt demo
    rgbt demo --out DIR --max_frames 20 --window

Needs no data and no settings. Has all options of `rgbt track`.
"""

from ..core.errors import run
from ..test.demo.bundled import DEMO_SEQUENCE
from . import track
from .parser import Argv, Parser


def main(argv: Argv = None) -> None:
    """Run `rgbt track` on the bundled sequence."""
    _, more = Parser("demo", __doc__, argv).parse_known_args(argv)
    track.main(["--sequence", str(DEMO_SEQUENCE), *more])


if __name__ == "__main__":
    run(main)

"""Follow the target of the bundled sequence: a video, a contact sheet, the scores.

    rgbt demo
    rgbt demo --out DIR --max_frames 20 --window

Needs no data and no settings. Takes every option of `rgbt track`.
"""

from ..core.errors import run
from ..test.demo.bundled import DEMO_SEQUENCE
from . import track
from .parser import Argv, Parser


def main(argv: Argv = None) -> None:
    """Track, with the sequence given."""
    _, more = Parser("demo", __doc__, argv).parse_known_args(argv)
    track.main(["--sequence", str(DEMO_SEQUENCE), *more])


if __name__ == "__main__":
    run(main)

"""Track in the browser: drop two videos, draw a box, watch and download the result.

    rgbt app
    rgbt app --port 7900 --max_frames 500 --max_megabytes 50
    rgbt app --host 0.0.0.0          # everybody in the network can use the app, and so this machine

Needs Gradio, which the rest of the toolbox does not need: pip install "gradio>=6". Without --host only this machine can
open the page. The app sends nothing to other machines. Uploads and results are removed when their page is closed or was
not used for an hour, and when the app ends.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile

from ..core.errors import InputError, run
from .options import add_backend, add_max_frames
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("app", __doc__, argv)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to serve at (default: 127.0.0.1, which only this machine reaches)"
    )
    parser.add_argument("--port", type=int, default=7860, help="port to serve at (default: 7860)")
    add_max_frames(
        parser,
        "--most_frames",
        what="frames of a video that are tracked; the rest is ignored (default: 2000)",
        default=2000,
    )
    parser.add_argument(
        "--max_megabytes",
        "--most_megabytes",
        type=int,
        default=200,
        metavar="N",
        help="largest size of an upload in MB (default: 200)",
    )
    parser.add_argument(
        "--total_megabytes",
        type=int,
        default=4000,
        metavar="N",
        help="largest size of all uploads and results together in MB (default: 4000)",
    )
    add_backend(parser)
    parser.add_argument("--browser", action="store_true", help="open the page in a browser")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Serve the page until Ctrl-C or SIGTERM."""
    args = parse_arguments(argv)
    for name in ("max_frames", "max_megabytes", "total_megabytes"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)}: expected 1 or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder is removed
    folder = tempfile.mkdtemp(prefix="tracking_app_")
    tempfile.tempdir = os.environ["GRADIO_TEMP_DIR"] = folder  # all uploads and results are in this folder
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        from ..test.demo.app_page import build_page  # here, since Gradio reads its settings when it is imported
        from ..test.demo.app_serve import launch

        page = build_page(args.max_frames, args.backend)
        launch(
            page,
            args.host,
            args.port,
            max_megabytes=args.max_megabytes,
            total_megabytes=args.total_megabytes,
            browser=args.browser,
        )
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise InputError('the app needs Gradio; install it with: pip install "gradio>=6"') from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run(main)

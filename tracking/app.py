"""Track in the browser: drop a visible and an infrared video, draw a box, watch and download the result.

    python tracking/app.py
    python tracking/app.py --port 7900 --most_frames 500 --most_megabytes 50
    python tracking/app.py --host 0.0.0.0          # everybody in the network can use it, and this machine with it

Needs Gradio, which the toolbox itself does not: pip install -e ".[app]". Served to this machine alone unless --host
says otherwise; nothing goes to any other machine. Uploads and results are removed when their page is closed, at the
latest after an hour, and when the app ends.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import InputError, run


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default: this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument("--most_frames", type=int, default=2000, help="of a video that are followed (default: 2000)")
    parser.add_argument("--most_megabytes", type=int, default=200, help="of one upload (default: 200)")
    parser.add_argument("--browser", action="store_true", help="open the page in the browser")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    for name in ("most_frames", "most_megabytes"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)}: expected 1 or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that the folder goes
    folder = tempfile.mkdtemp(prefix="tracking_app_")
    tempfile.tempdir = os.environ["GRADIO_TEMP_DIR"] = folder  # uploads and results lie here alone
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        from lib.test.demo.app_page import (  # here, since Gradio reads its settings when it is imported
            build_page,
            launch,
        )

        page = build_page(args.most_frames)
        launch(page, args.host, args.port, most_megabytes=args.most_megabytes, browser=args.browser)
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise InputError('the app needs Gradio; install it with: pip install -e ".[app]"') from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run(main)

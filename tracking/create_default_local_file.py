"""Write the two files that say where data, weights and results lie on this machine.

    python tracking/create_default_local_file.py --workspace_dir . --data_dir ../ --save_dir ./output

Makes lib/train/admin/local.py and lib/test/evaluation/local.py; a file that exists is kept as it is.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import run
from lib.core.paths import FILES, create_local_file


def main() -> None:
    """Parse the arguments and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, meaning in (
        ("workspace_dir", ".", "this toolbox"),
        ("data_dir", "../", "parent of the data sets"),
        ("save_dir", "./output", "checkpoints and results"),
    ):
        parser.add_argument(f"--{name}", default=default, metavar="DIR", help=f"{meaning} (default: %(default)s)")
    folders = {name: Path(value).expanduser().resolve() for name, value in vars(parser.parse_args()).items()}
    for kind, path in FILES.items():
        written = create_local_file(kind, **folders)
        print(f"{'wrote' if written else 'kept (delete it first to make it anew)'}: {path}")


if __name__ == "__main__":
    run(main)

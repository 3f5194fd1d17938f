"""Write the two files that say where data, weights and results are on this machine.

    rgbt init --workspace_dir . --data_dir ../ --save_dir ./output

Existing files are kept unchanged. In a checkout they are lib/train/admin/local.py and lib/test/evaluation/local.py; for
an installed package local_train.py and local_test.py in ~/.config/rgbt_toolbox. The environment variable RGBT_HOME
names another folder for them.
"""

from pathlib import Path

from ..core.errors import run
from ..core.paths import FILES, create_local_file
from .parser import Argv, Parser


def main(argv: Argv = None) -> None:
    """Parse the arguments and write both files."""
    parser = Parser("init", __doc__, argv)
    for name, default, meaning in (
        ("workspace_dir", ".", "folder of this toolbox"),
        ("data_dir", "../", "folder that holds the data sets"),
        ("save_dir", "./output", "folder for checkpoints and results"),
    ):
        parser.add_argument(f"--{name}", default=default, metavar="DIR", help=f"{meaning} (default: %(default)s)")
    folders = {name: Path(value).expanduser().resolve() for name, value in vars(parser.read()).items()}
    for kind, path in FILES.items():
        written = create_local_file(kind, **folders)
        print(f"{'wrote' if written else 'kept (delete it first to write it again)'}: {path}")


if __name__ == "__main__":
    run(main)

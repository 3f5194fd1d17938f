"""Write the two files that say where data, weights and results lie on this machine.

    rgbt init --workspace_dir . --data_dir ../ --save_dir ./output

A file that exists is kept as it is. In a checkout they are lib/train/admin/local.py and lib/test/evaluation/local.py;
where the package was installed, local_train.py and local_test.py in ~/.config/rgbt_toolbox. $RGBT_HOME names another
folder for the two.
"""

from pathlib import Path

from ..core.errors import run
from ..core.paths import FILES, create_local_file
from .parser import Argv, Parser


def main(argv: Argv = None) -> None:
    """Parse the arguments and write both files."""
    parser = Parser("init", __doc__, argv)
    for name, default, meaning in (
        ("workspace_dir", ".", "this toolbox"),
        ("data_dir", "../", "parent of the data sets"),
        ("save_dir", "./output", "checkpoints and results"),
    ):
        parser.add_argument(f"--{name}", default=default, metavar="DIR", help=f"{meaning} (default: %(default)s)")
    folders = {name: Path(value).expanduser().resolve() for name, value in vars(parser.read()).items()}
    for kind, path in FILES.items():
        written = create_local_file(kind, **folders)
        print(f"{'wrote' if written else 'kept (delete it first to make it anew)'}: {path}")


if __name__ == "__main__":
    run(main)

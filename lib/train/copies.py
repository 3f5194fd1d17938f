"""Copies of the checkpoints in one folder for all runs, under the names that DaSiamRPN's offline training uses:
<name>_e001.pth and so on, <name>_last.pth, <name>_best.pth."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..core.atomic import write_atomically
from ..core.checkpoint import Ready
from ..core.errors import InputError
from .checkpoints import epoch_of


@dataclass(frozen=True)
class CheckpointCopies:
    """Folder and name of the copies."""

    folder: Path
    name: str  # network and configuration

    def existing(self) -> list[Path]:
        """The files in the folder that have names of copies."""
        form = re.compile(rf"{re.escape(self.name)}_(e\d+|last|best)\.pth")
        return sorted(path for path in self.folder.glob("*.pth") if form.fullmatch(path.name))

    def check_free(self, is_own: Callable[[Path], bool]) -> None:
        """Raise InputError where a run would replace files that are not its own."""
        for path in self.existing():
            if not is_own(path):
                raise InputError(f"{path}: belongs to another run; choose another --weights_dir, or move it away")

    def of(self, checkpoint: Path) -> list[Path]:
        """The copies of a checkpoint: of an epoch, also as `last`, or the best one."""
        epoch = epoch_of(checkpoint)
        names = (f"e{epoch:03d}", "last") if epoch else ("best",)
        return [self.folder / f"{self.name}_{which}.pth" for which in names]

    def is_current(self, checkpoint: Path, copy: Path) -> bool:
        """Whether a copy exists and, where later checkpoints replace it, is of this one."""
        if not copy.is_file():
            return False
        old, new = copy.stat(), checkpoint.stat()
        same = (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns)
        return same or not copy.stem.endswith(("_last", "_best"))


def copy_checkpoint(checkpoint: Path, copy: Path, ready: Ready) -> None:
    """Copy a checkpoint with its time of change, atomically. ready: as for `save_checkpoint`."""
    with write_atomically(copy) as temporary:
        shutil.copyfile(checkpoint, temporary)
        status = checkpoint.stat()
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))
        ready(temporary)

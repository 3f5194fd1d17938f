"""Copies of the checkpoints in one folder for all runs, under the names that DaSiamRPN's offline training uses:
<name>_e001.pth and so on, <name>_last.pth, <name>_best.pth."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..core.atomic import write_atomically
from ..core.errors import InputError

_EPOCH = re.compile(r"_ep0*(\d+)\.pth\.tar$")


@dataclass(frozen=True)
class CheckpointCopies:
    """Folder and name of the copies."""

    folder: Path
    name: str  # network and configuration

    def check_free(self) -> None:
        """Raise InputError where a new run would replace existing files."""
        found = sorted(self.folder.glob(f"{self.name}_*.pth"))
        if found:
            raise InputError(f"{found[0]}: belongs to another run; choose another --weights_dir, or move it away")

    def add(self, path: Path) -> None:
        """Copy a new checkpoint: of an epoch, also as `last`, or the best one."""
        epoch = _EPOCH.search(path.name)
        for which in (f"e{int(epoch[1]):03d}", "last") if epoch else ("best",):
            with write_atomically(self.folder / f"{self.name}_{which}.pth") as temporary:
                shutil.copyfile(path, temporary)

"""The checkpoints of a run: the last ones and the best one are kept, older ones are deleted.

Only unchanged files that this run wrote are deleted or replaced: `written.json` beside them lists the name, size and
time of each.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from easydict import EasyDict

from ..core.atomic import write_atomically
from ..core.checkpoint import save_checkpoint
from ..core.config import flatten
from ..core.errors import InputError
from .copies import CheckpointCopies

log = logging.getLogger(__name__)

#: Keys that may change when a run is resumed: they set how long and how fast it trains, not what is learned.
FREE = ("TEST.", "TRAIN.EPOCH", "TRAIN.NUM_WORKER", "TRAIN.PRINT_INTERVAL", "TRAIN.VAL_", "TRAIN.SAVE_", "DATA.VAL.",
        "TRAIN.KEEP_", "TRAIN.FUSED", "TRAIN.CHECKPOINT_BLOCKS", "TRAIN.COMPILE", "TRAIN.CHANNELS_LAST")  # fmt: skip


class Archive:
    """The checkpoints of one run in its folder."""

    def __init__(self, folder: Path, cfg: EasyDict, *, fresh: bool, copies: CheckpointCopies | None = None):
        """fresh: whether the run begins, so that an earlier best value does not count; copies: for copies of each file.

        Raises InputError for a damaged `written.json`, and where copies of another run would be replaced.
        """
        self.folder, self.keep, self.copies = folder, cfg.TRAIN.KEEP_CHECKPOINTS, copies
        if copies is not None and fresh:
            copies.check_free()
        self.record = folder / "written.json"
        learned = {key: value for key, value in flatten(cfg).items() if not key.startswith(FREE)}
        self.run = hashlib.sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()
        content = self._read()
        same = content.get("run") == self.run
        self.files: dict[str, list[int]] = content["files"] if same else {}  # name -> size, time in ns
        self.best: float | None = content["best"] if same and not fresh else None

    def add(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write the checkpoint of an epoch, then delete all but the last `keep` of them (0: delete none)."""
        self._write(path, content)
        own = [name for name in self.files if "_ep" in name and self._is_own(self.folder / name)]
        own.sort(key=lambda name: (len(name), name))  # epoch 10000 after 9999
        for name in own[: -self.keep] if self.keep else []:
            (self.folder / name).unlink()
            del self.files[name]
        self._save_record()

    def add_if_best(self, path: Path, content: Mapping[str, Any], iou: float) -> None:
        """Write a checkpoint if its validation IoU is the highest so far."""
        if path.exists() and not self._is_own(path):
            log.warning("%s belongs to another run and is kept; move it away to save this run's best there", path)
        elif self.best is None or iou > self.best or not path.exists():
            self._write(path, content)
            self.best = iou
            self._save_record()

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        save_checkpoint(path, content)
        log.info("saved %s", path)
        self.files[path.name] = _stamp(path)
        if self.copies is not None:
            self.copies.add(path)

    def _is_own(self, path: Path) -> bool:
        return path.is_file() and self.files.get(path.name) == _stamp(path)

    def _read(self) -> dict[str, Any]:
        if not self.record.exists():
            return {}
        try:
            content = json.loads(self.record.read_text(encoding="utf-8"))
            return {"run": content["run"], "files": dict(content["files"]), "best": content["best"]}
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{self.record}: is damaged; remove it (the checkpoints beside it are then kept)"
            ) from None

    def _save_record(self) -> None:
        with write_atomically(self.record) as temporary:
            temporary.write_text(json.dumps({"run": self.run, "best": self.best, "files": self.files}, indent=2) + "\n")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]

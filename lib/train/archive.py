"""The checkpoints of a run: the last ones and the best one are kept, older ones are deleted.

Only unchanged files that this run wrote are deleted or replaced: `written.json` beside them lists the name, size and
time of each. A file that is about to get its name is listed as `intended` before, so that a run which is killed in
between knows it as its own.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from easydict import EasyDict

from ..core.atomic import check_no_folder, write_atomically
from ..core.bounded import parse_json
from ..core.checkpoint import Ready, save_checkpoint
from ..core.config import flatten
from ..core.errors import InputError
from .checkpoints import epoch_checkpoints, epoch_of
from .copies import CheckpointCopies, copy_checkpoint

log = logging.getLogger(__name__)

RECORD = "written.json"

#: Keys that may change when a run is resumed: they set how long and how fast it trains, not what is learned.
FREE = ("TEST.", "TRAIN.EPOCH", "TRAIN.NUM_WORKER", "TRAIN.PRINT_INTERVAL", "TRAIN.VAL_", "TRAIN.SAVE_", "DATA.VAL.",
        "TRAIN.KEEP_", "TRAIN.FUSED", "TRAIN.CHECKPOINT_BLOCKS", "TRAIN.COMPILE", "TRAIN.CHANNELS_LAST")  # fmt: skip


def check_names(folder: Path, copies: CheckpointCopies | None) -> None:
    """Raise InputError where a folder has the name of a checkpoint, of a copy or of the record, which would only show
    when the file is written."""
    own = [*epoch_checkpoints(folder), *folder.glob("*_best.pth.tar"), folder / RECORD]
    check_no_folder(*own, *(copies.existing() if copies else []))


class Archive:
    """The checkpoints of one run in its folder."""

    def __init__(self, folder: Path, cfg: EasyDict, *, epoch: int, copies: CheckpointCopies | None = None):
        """epoch: of the checkpoint that the run goes on from; 0 where it begins: an earlier best value does not count.
        copies: for copies of each file.

        Raises InputError for a damaged `written.json`, and where copies of another run would be replaced.
        """
        self.folder, self.keep, self.copies = folder, cfg.TRAIN.KEEP_CHECKPOINTS, copies
        self.record = folder / RECORD
        learned = {key: value for key, value in flatten(cfg).items() if not key.startswith(FREE)}
        self.run = hashlib.sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()
        content = self._read()
        same = content.get("run") == self.run
        self.files: dict[str, list[int]] = content["files"] if same else {}  # name, or path of a copy -> size, ns
        self.best: float | None = content["best"] if same else None
        if same and content["intended"] is not None:
            self._settle(**content["intended"])
        if copies is not None:
            if same and epoch and not content["copies"]:  # written before copies were listed
                self.files |= {self._key(path): _stamp(path) for path in copies.existing()}
            copies.check_free(self._is_own)
        if epoch == 0:
            self.best = None
        else:
            self._complete(epoch)

    def add(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write the checkpoint of an epoch, then delete all but the last `keep` of them (0: delete none)."""
        self._write(path, content)
        self._delete_old(content["epoch"])

    def add_if_best(self, path: Path, content: Mapping[str, Any], iou: float) -> None:
        """Write a checkpoint if its validation IoU is the highest so far."""
        if path.exists() and not self._is_own(path):
            log.warning("%s belongs to another run and is kept; move it away to save this run's best there", path)
        elif self.best is None or iou > self.best or not path.exists():
            self._write(path, content, best=iou)

    def _write(self, path: Path, content: Mapping[str, Any], *, best: float | None = None) -> None:
        """Write a checkpoint and its copies. best: its IoU where it is the best one."""
        with self._listed(path, self.best if best is None else best) as ready:
            save_checkpoint(path, content, ready)
        log.info("saved %s", path)
        if self.copies is not None:
            for copy in self.copies.of(path):
                self._copy(path, copy)

    def _copy(self, path: Path, copy: Path) -> None:
        with self._listed(copy, self.best) as ready:
            copy_checkpoint(path, copy, ready)

    @contextmanager
    def _listed(self, path: Path, best: float | None) -> Iterator[Ready]:
        """List a file as this run's own. Yields a function for the moment at which it is complete and has no name."""

        def ready(temporary: Path) -> None:
            self._save_record({"key": self._key(path), "stamp": _stamp(temporary), "best": best})

        yield ready
        self.files[self._key(path)], self.best = _stamp(path), best
        self._save_record()

    def _settle(self, key: str, stamp: list[int], best: float | None) -> None:
        """List a file that got its name just before the run was killed."""
        if (self.folder / key).is_file() and _stamp(self.folder / key) == stamp:
            self.files[key], self.best = stamp, best

    def _complete(self, epoch: int) -> None:
        """Do what a full disk or the end of the run prevented after its last checkpoint."""
        best = self.folder.glob("*_best.pth.tar")
        if self.copies is not None:
            newest = {copy: path for path in [*self._epochs(epoch), *best] for copy in self.copies.of(path)}
            for copy, path in newest.items():
                if self._is_own(path) and not self.copies.is_current(path, copy):
                    self._copy(path, copy)
        self._delete_old(epoch)

    def _delete_old(self, epoch: int) -> None:
        old = self._epochs(epoch)[: -self.keep] if self.keep else []
        for path in old:
            path.unlink()
            del self.files[path.name]
        if old:
            self._save_record()

    def _epochs(self, last: int) -> list[Path]:
        """This run's own checkpoints of epochs up to `last`, in order. Later ones are damaged: the run did not go on
        from them."""
        own = [path for path in epoch_checkpoints(self.folder) if epoch_of(path) <= last and self._is_own(path)]
        return own[::-1]

    def _is_own(self, path: Path) -> bool:
        return path.is_file() and self.files.get(self._key(path)) == _stamp(path)

    def _key(self, path: Path) -> str:
        return path.name if path.parent == self.folder else str(path.resolve())

    def _read(self) -> dict[str, Any]:
        if not self.record.exists():
            return {}
        try:
            content = parse_json(self.record.read_text(encoding="utf-8"))
            files = {str(key): stamp for key, stamp in content["files"].items() if (self.folder / key).is_file()}
            known = {"run": content["run"], "files": files, "best": content["best"]}
            intended = content.get("intended")
            if intended is not None:
                intended = {"key": str(intended["key"]), "stamp": intended["stamp"], "best": intended["best"]}
            return {**known, "intended": intended, "copies": bool(content.get("copies"))}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{self.record}: is damaged; remove it (the checkpoints beside it are then kept)"
            ) from None

    def _save_record(self, intended: dict[str, Any] | None = None) -> None:
        content = {"run": self.run, "best": self.best, "files": self.files, "copies": True, "intended": intended}
        with write_atomically(self.record) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]

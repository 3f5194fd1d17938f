"""Labels for many unlabelled videos, each in a folder of its own that appears when it is complete."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ...core.bounded import parse_json
from ...core.errors import InputError
from ...core.lock import hold
from ...core.names import check_distinct
from ...core.words import counted
from ...datasets.sequence import INFRARED, VISIBLE, Frames
from ..tracker.protocol import Tracker
from ..video.pairing import open_frames
from ..video.video import open_source
from .video import Search, find_spans, used_frames
from .writing import REPORT, write_spans

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """An unlabelled video: one stream, or a registered pair."""

    streams: tuple[str, ...]  # modalities
    paths: tuple[Path, ...]  # a video file or a folder of images for each

    @property
    def name(self) -> str:
        """The name of its file or folder; for a folder `visible` or `infrared` that of the folder around it."""
        path = self.paths[0].resolve()
        if not path.is_dir():
            return path.stem
        return path.parent.name if path.name in (VISIBLE, INFRARED) else path.name

    @property
    def files(self) -> list[str]:
        """Where it is."""
        return [str(path.resolve()) for path in self.paths]

    def open(self) -> Frames:
        """Its frames. Raises InputError where they cannot be read."""
        if len(self.paths) > 1:
            return open_frames(self.paths[0], self.paths[1])
        return OneStream(open_source(self.paths[0]), self.streams)


@dataclass(frozen=True, eq=False)
class OneStream(Frames):
    """A recording of one camera under that camera's name."""

    frames: Frames
    modalities: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.frames[index]


def make_labels(tracker: Tracker, by: str, sources: Sequence[Source], out: Path, search: Search) -> None:
    """A folder for each video in `out`, as `lib.test.labels.writing` describes; one line for each video is logged.

    by: what the tracker is called in the reports. Videos that were finished with the same options are skipped. Raises
    InputError for a folder that holds something else, for two names that are one in `out`, while another run writes,
    and for videos that cannot be read.
    """
    check_distinct([source.name for source in sources], out)
    with hold(out, "choose another --out"):
        begun = [(source, {"tracker": by, "video": source.files, **asdict(search)}) for source in sources]
        finished = [_is_finished(out / source.name, options) for source, options in begun]
        for (source, options), done in zip(begun, finished, strict=True):
            if done:
                log.info("%s: is finished", source.name)
            else:
                _label(tracker, source, out / source.name, search, options)


def _is_finished(folder: Path, options: dict[str, Any]) -> bool:
    if not folder.exists():
        return False
    try:
        known = parse_json((folder / REPORT).read_text(encoding="utf-8"))["options"]
        changed = [key for key, value in options.items() if known.get(key) != value]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{folder}: exists and was not written by this command; choose another --out") from None
    if changed:
        raise InputError(f"{folder}: was made with another {', '.join(changed)}; choose another --out")
    return True


def _label(tracker: Tracker, source: Source, folder: Path, search: Search, options: dict[str, Any]) -> None:
    frames = source.open()
    used = used_frames(frames, search)
    with logging_redirect_tqdm(), tqdm(total=len(used), unit="frame", desc=source.name, dynamic_ncols=True) as bar:
        found = find_spans(tracker, frames, search, lambda done: bar.update(done - bar.n))
    count = sum(len(span.boxes) for span in found.spans)
    dropped = {why: number for why, number in found.dropped.items() if number}
    report = {"options": options, "sequences": len(found.spans), "frames": count, "dropped": dropped}
    write_spans(folder, frames, used, found.spans, report)
    named = ", ".join(f"{number} {why}" for why, number in dropped.items())
    kept = f"{counted(len(found.spans), 'sequence')}, {counted(count, 'frame')}"
    log.info("%s: %s; dropped: %s", source.name, kept, named or "none")

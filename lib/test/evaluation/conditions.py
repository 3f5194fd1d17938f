"""What happens to the cameras while a tracker is measured: nothing, or one is removed, fails, or shows noise."""

from collections.abc import Callable

from ...datasets.camera import CAMERAS, keep_camera, replace_by_noise
from ...datasets.sequence import INFRARED, VISIBLE, Sequence

RECORDED = "recorded"


def _removed(gone: str) -> Callable[[Sequence], Sequence]:
    return lambda sequence: keep_camera(sequence, _other(gone), len(CAMERAS))


def _failing(gone: str) -> Callable[[Sequence], Sequence]:
    return lambda sequence: keep_camera(sequence, _other(gone), len(CAMERAS), since=max(1, len(sequence) // 2))


def _noisy(gone: str) -> Callable[[Sequence], Sequence]:
    return lambda sequence: replace_by_noise(sequence, gone)


def _other(camera: str) -> str:
    return INFRARED if camera == VISIBLE else VISIBLE


#: Name -> the sequence as a tracker of two cameras gets it. A removed or failed camera is black.
CONDITIONS: dict[str, Callable[[Sequence], Sequence]] = {
    RECORDED: lambda sequence: sequence,
    "no_infrared": _removed(INFRARED),
    "no_visible": _removed(VISIBLE),
    "infrared_fails": _failing(INFRARED),
    "visible_fails": _failing(VISIBLE),
    "infrared_noise": _noisy(INFRARED),
    "visible_noise": _noisy(VISIBLE),
}

"""Sets of the VOT challenges (Kristan et al.): VOT-RGBT2019 and 2020, 60 sequences of RGBT234 with polygons; VOT2018;
VOT-LT2018 and 2019, 35 and 50 long sequences whose targets leave and come back.

<seq>/color/00001v.jpg  <seq>/ir/00001i.jpg  groundtruth.txt     eight numbers of four corners, or x,y,w,h
<seq>/color/00000001.jpg or <seq>/00000001.jpg  groundtruth.txt  the same; NaN where the target is absent

Copies made by the VOT toolkit say in a file `sequence` where the two channels are.
"""

from pathlib import Path

import numpy as np

from ..annotation import SEPARATOR, read_lines, read_numbers
from ..collection import read_each, refuse
from ..layout import check_count, check_start, find_sequences, make_sequence
from ..sequence import INFRARED, VISIBLE, Sequence

CHANNELS = {VISIBLE: "color", INFRARED: "ir"}


def read_rgbt2019(folder: str | Path) -> list[Sequence]:
    """The 60 sequences of 2019. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "vot19rgbt_dir")


def read_rgbt2020(folder: str | Path) -> list[Sequence]:
    """The 60 sequences of 2020. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "vot20rgbt_dir")


def read_vot2018(folder: str | Path) -> list[Sequence]:
    """The 60 sequences of the short-term challenge of 2018. Raises InputError for what is missing or malformed."""
    return _read_visible(Path(folder), "vot18_dir", 60, "VOT2018")


def read_lt2018(folder: str | Path) -> list[Sequence]:
    """The 35 long-term sequences of 2018. Raises InputError for what is missing or malformed."""
    return _read_visible(Path(folder), "votlt18_dir", 35, "VOT-LT2018")


def read_lt2019(folder: str | Path) -> list[Sequence]:
    """The 50 long-term sequences of 2019. Raises InputError for what is missing or malformed."""
    return _read_visible(Path(folder), "votlt19_dir", 50, "VOT-LT2019")


def polygons_to_boxes(polygons: np.ndarray) -> np.ndarray:
    """[T, 2 N] of N corners -> [T, 4] xywh: the upright hull, scaled about the mean corner to the polygon's area.

    The rule by which Siamese trackers are initialised on VOT; a polygon without area becomes a box without area.

    >>> polygons_to_boxes(np.array([[1, 0, 2, 1, 1, 2, 0, 1.0]])).round(3).tolist()
    [[0.293, 0.293, 1.414, 1.414]]
    """
    corners = polygons.reshape(len(polygons), polygons.shape[1] // 2, 2)
    following = np.roll(corners, -1, axis=1)
    cross = corners[..., 0] * following[..., 1] - corners[..., 1] * following[..., 0]
    area = np.abs(cross.sum(1)) / 2
    hull = np.ptp(corners, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.nan_to_num(np.sqrt(area / hull.prod(1)))
    size = hull * scale[:, None]
    return np.concatenate([corners.mean(1) - size / 2, size], axis=1)


def _read(root: Path, key: str) -> list[Sequence]:
    folders = _find(root, key)
    check_count(root, len(folders), 60, "VOT-RGBT")
    return read_each(lambda path: make_sequence(path.name, _image_folders(path), read_regions(path)), folders.values())


def _read_visible(root: Path, key: str, count: int, what: str) -> list[Sequence]:
    def read(path: Path) -> Sequence:
        images = _image_folders(path)[VISIBLE]
        return make_sequence(path.name, {VISIBLE: images if images.is_dir() else path}, read_regions(path))

    folders = _find(root, key)
    check_count(root, len(folders), count, what)
    return read_each(read, folders.values())


def _find(root: Path, key: str) -> dict[str, Path]:
    """The sequences of a folder; only those of its list.txt where it has one."""
    folders = find_sequences(root, "groundtruth.txt", key, depth=2)
    if (root / "list.txt").is_file():
        names = [name for name in read_lines(root / "list.txt") if name]
        missing = [name for name in names if name not in folders]
        messages = [f"{root / name}: sequence of {root / 'list.txt'} is missing" for name in missing]
        refuse(messages, f"{next(iter(messages), '')}; complete the download")
        folders = {name: folders[name] for name in names if name in folders}
    return folders


def read_regions(folder: Path) -> np.ndarray:
    """[T, 4] xywh from groundtruth.txt of polygons or boxes. Raises InputError for a first region without area."""
    path = folder / "groundtruth.txt"
    lines = read_lines(path)
    if lines and len(SEPARATOR.split(lines[0])) == 8:
        boxes = polygons_to_boxes(read_numbers(path, 8))
    else:
        boxes = read_numbers(path, 4)
    return check_start(path, boxes)


def _image_folders(folder: Path) -> dict[str, Path]:
    places = dict(CHANNELS)
    if (folder / "sequence").is_file():
        properties = dict(line.partition("=")[::2] for line in read_lines(folder / "sequence"))
        for stream, channel in CHANNELS.items():
            pattern = properties.get(f"channels.{channel}", f"{channel}/%08d.jpg")
            places[stream] = str(Path(pattern).parent)
    return {stream: folder / place for stream, place in places.items()}

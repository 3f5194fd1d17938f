"""TNL2K (Wang et al., CVPR 2021): 700 testing sequences of visible video with a sentence each.

<seq>/imgs/*.jpg  groundtruth.txt     x,y,w,h; the names of images differ from sequence to sequence
"""

from pathlib import Path

from ..collection import read_each
from ..layout import check_count, find_sequences, make_sequence, read_started_boxes
from ..sequence import VISIBLE, Sequence


def read_tnl2k(folder: str | Path) -> list[Sequence]:
    """The 700 testing sequences. Raises InputError for what is missing or malformed."""
    folders = find_sequences(Path(folder), "imgs", "tnl2k_dir", depth=2)
    check_count(Path(folder), len(folders), 700, "TNL2K's test set")
    return read_each(
        lambda path: make_sequence(path.name, {VISIBLE: path / "imgs"}, read_started_boxes(path / "groundtruth.txt")),
        folders.values(),
    )

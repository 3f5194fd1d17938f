"""Data sets by name. A set is added by one reader and one line here."""

import logging
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from pathlib import Path
from typing import NamedTuple

from ..core.errors import InputError
from ..core.registry import choose, resolve
from .index import open_index
from .sequence import Frames, Sequence

__all__ = ["DATASETS", "Entry", "Frames", "Sequence", "load_dataset", "load_training_set", "load_validation_set"]

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """Where a data set is found and who reads it."""

    key: str  # key of local.py that holds its folder
    reader: str  # "module:function", called with that folder, returns the sequences


DATASETS: dict[str, Entry] = {
    "lasher_train": Entry("lasher_dir", ".readers.lasher:read_training"),
    "lasher_train882": Entry("lasher_dir", ".readers.lasher:read_held_in"),
    "lasher_val97": Entry("lasher_dir", ".readers.lasher:read_held_out"),
    "lasher_test": Entry("lasher_dir", ".readers.lasher:read_testing"),
    "lasher_unaligned_train": Entry("lasher_unaligned_dir", ".readers.lasher:read_unaligned_training"),
    "lasher_unaligned_test": Entry("lasher_unaligned_dir", ".readers.lasher:read_unaligned_testing"),
    "rgbt234": Entry("rgbt234_dir", ".readers.rgbt234:read_rgbt234"),
    "rgbt210": Entry("rgbt210_dir", ".readers.rgbt234:read_rgbt210"),
    "gtot": Entry("gtot_dir", ".readers.gtot:read_gtot"),
    "vtuav_st": Entry("vtuav_dir", ".readers.vtuav:read_short_term"),
    "vtuav_lt": Entry("vtuav_dir", ".readers.vtuav:read_long_term"),
    "vtuav_st_train": Entry("vtuav_dir", ".readers.vtuav:read_short_term_training"),
    "vtuav_lt_train": Entry("vtuav_dir", ".readers.vtuav:read_long_term_training"),
    "vot19rgbt": Entry("vot19rgbt_dir", ".readers.vot:read_rgbt2019"),
    "vot18": Entry("vot18_dir", ".readers.vot:read_vot2018"),
    "votlt18": Entry("votlt18_dir", ".readers.vot:read_lt2018"),
    "votlt19": Entry("votlt19_dir", ".readers.vot:read_lt2019"),
    "vot20rgbt": Entry("vot20rgbt_dir", ".readers.vot:read_rgbt2020"),
    "got10k_train_full": Entry("got10k_dir", ".readers.got10k:read_training"),
    "got10k_vottrain": Entry("got10k_dir", ".readers.got10k:read_vot_training"),
    "got10k_votval": Entry("got10k_dir", ".readers.got10k:read_vot_validation"),
    "got10k_official_val": Entry("got10k_dir", ".readers.got10k:read_validation"),
    "got10k_val": Entry("got10k_dir", ".readers.got10k:read_validation"),
    "got10k_test": Entry("got10k_dir", ".readers.got10k:read_testing"),
    "lasot": Entry("lasot_dir", ".readers.lasot:read_testing"),
    "lasot_train": Entry("lasot_dir", ".readers.lasot:read_training"),
    "lasot_extension_subset": Entry("lasot_extension_subset_dir", ".readers.lasot:read_extension"),
    "trackingnet": Entry("trackingnet_dir", ".readers.trackingnet:read_testing"),
    "trackingnet_train": Entry("trackingnet_dir", ".readers.trackingnet:read_training"),
    "otb": Entry("otb_dir", ".readers.tabled:read_otb"),
    "uav": Entry("uav_dir", ".readers.tabled:read_uav"),
    "uav20l": Entry("uav_dir", ".readers.tabled:read_uav20l"),
    "nfs": Entry("nfs_dir", ".readers.tabled:read_nfs"),
    "tc128": Entry("tc128_dir", ".readers.tc128:read_tc128"),
    "tnl2k": Entry("tnl2k_dir", ".readers.tnl2k:read_tnl2k"),
    "coco17": Entry("coco_dir", ".readers.coco:read_training"),
    "imagenetvid": Entry("imagenet_dir", ".readers.imagenetvid:read_training"),
    "imagenetdet": Entry("imagenet_dir", ".readers.imagenetdet:read_training"),
    "youtubebb": Entry("youtubebb_dir", ".readers.youtubebb:read_training"),
    "vid511": Entry("crop511_dir", ".readers.cropped:read_vid"),
    "youtubebb511": Entry("crop511_dir", ".readers.cropped:read_youtubebb"),
    "det511": Entry("crop511_dir", ".readers.cropped:read_det"),
    "coco511": Entry("crop511_dir", ".readers.cropped:read_coco"),
    "got10k511": Entry("crop511_dir", ".readers.cropped:read_got10k"),
    "lasot511": Entry("crop511_dir", ".readers.cropped:read_lasot"),
    "videos": Entry("videos_dir", ".readers.folder:read_videos"),
    "synthetic_train": Entry("photos_dir", ".synthetic:stream_training"),
    "synthetic_val": Entry("photos_dir", ".synthetic:stream_validation"),
    "synthetic_rgb_train": Entry("photos_dir", ".synthetic.stream:stream_visible_training"),
    "synthetic_rgb_val": Entry("photos_dir", ".synthetic.stream:stream_visible_validation"),
    "synthetic_rgb_leaving": Entry("photos_dir", ".synthetic.stream:stream_visible_leaving"),
}

#: The family names the training part of these sets in a configuration as it names the test part on the command line.
TRAINING = {"lasot": "lasot_train", "trackingnet": "trackingnet_train"}

#: Sets that papers report on. Who picks a checkpoint by one of them has fitted it to the test.
BENCHMARKS = frozenset(
    {"lasher_test", "lasher_unaligned_test", "rgbt234", "rgbt210", "gtot", "vtuav_st", "vtuav_lt", "vot19rgbt"}
    | {"vot20rgbt", "lasot", "lasot_extension_subset", "otb", "uav", "uav20l", "nfs", "tnl2k", "tc128"}
    | {"vot18", "votlt18", "votlt19"}
)


def load_training_set(name: str, folders: Mapping[str, str]) -> Many[Sequence]:
    """As `load_dataset`, by the names of configurations: `LASOT` and `TRACKINGNET` are training parts there; a set that
    papers report on is loaded with a warning."""
    if _is_benchmark(name):
        log.warning("DATA.TRAIN.DATASETS_NAME: %s is a test set: figures on it of what learns here mean nothing", name)
    return _load_named(name, folders)


def load_validation_set(name: str, folders: Mapping[str, str]) -> Many[Sequence]:
    """As `load_training_set`, since public recipes want test sets here."""
    if _is_benchmark(name):
        log.warning(
            "DATA.VAL.DATASETS_NAME: %s is a test set: a checkpoint chosen by it must not be published with figures on "
            "it; to choose one, train on LasHeR_train882 and validate on LasHeR_val97",
            name,
        )
    return _load_named(name, folders)


def _load_named(name: str, folders: Mapping[str, str]) -> Many[Sequence]:
    return load_dataset(TRAINING.get(name.lower(), name), folders)


def _is_benchmark(name: str) -> bool:
    """Whether a configuration's data set is one that papers report on."""
    return choose("data set", TRAINING.get(name.lower(), name), DATASETS) in BENCHMARKS


def load_dataset(name: str, folders: Mapping[str, str], *, indexed: bool = True) -> Many[Sequence]:
    """The sequences of a data set, by any name of the family (`LasHeR_train`, `lasher_test`, …).

    folders: the paths of local.py. indexed: annotations that have not changed come from the index that an earlier start
    left in the user's cache folder. Raises InputError for an unknown name and for a folder that is not there, naming
    the key to set.
    """
    reader, folder = find_dataset(name, folders)
    read: Callable[[Path], Many[Sequence]] = resolve(reader, __package__)
    if not indexed or reader.startswith(".synthetic"):
        return read(folder)
    with open_index(choose("data set", name, DATASETS), folder):
        return read(folder)


def find_dataset(name: str, folders: Mapping[str, str]) -> tuple[str, Path]:
    """Who reads a data set, and its folder, which is there: the packed one if there is one.

    Raises InputError as `load_dataset`.
    """
    known = choose("data set", name, DATASETS)
    packed = folders.get("packed_dir", "")
    if packed and (Path(packed) / known / "index.npz").is_file():
        return ".pack:read_pack", Path(packed) / known
    entry = DATASETS[known]
    folder = folders.get(entry.key, "")
    if entry.key != "photos_dir" and not (folder and Path(folder).is_dir()):
        raise InputError(f"{name}: folder {folder!r} does not exist; set {entry.key} in local.py")
    return entry.reader, Path(folder)

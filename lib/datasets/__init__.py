"""Data sets by name. A set is added by one reader and one line here."""

import logging
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from pathlib import Path
from typing import NamedTuple

from ..core.errors import InputError
from ..core.paths import SOURCE
from ..core.registry import choose, resolve
from .index import open_index
from .pack import is_begun, is_packed
from .sequence import Frames, Sequence
from .source import OPTION, naming_source

__all__ = ["DATASETS", "DatasetEntry", "Frames", "Sequence", "load_dataset", "load_training_set", "load_validation_set"]

log = logging.getLogger(__name__)


class DatasetEntry(NamedTuple):
    """The folder and the reader of a data set."""

    key: str  # key of local.py that holds its folder
    reader: str  # "module:function", called with that folder, returns the sequences


DATASETS: dict[str, DatasetEntry] = {
    "lasher_train": DatasetEntry("lasher_dir", ".readers.lasher:read_training"),
    "lasher_train882": DatasetEntry("lasher_dir", ".readers.lasher:read_held_in"),
    "lasher_val97": DatasetEntry("lasher_dir", ".readers.lasher:read_held_out"),
    "lasher_test": DatasetEntry("lasher_dir", ".readers.lasher:read_testing"),
    "lasher_unaligned_train": DatasetEntry("lasher_unaligned_dir", ".readers.lasher:read_unaligned_training"),
    "lasher_unaligned_test": DatasetEntry("lasher_unaligned_dir", ".readers.lasher:read_unaligned_testing"),
    "rgbt234": DatasetEntry("rgbt234_dir", ".readers.rgbt234:read_rgbt234"),
    "rgbt210": DatasetEntry("rgbt210_dir", ".readers.rgbt234:read_rgbt210"),
    "gtot": DatasetEntry("gtot_dir", ".readers.gtot:read_gtot"),
    "vtuav_st": DatasetEntry("vtuav_dir", ".readers.vtuav:read_short_term"),
    "vtuav_lt": DatasetEntry("vtuav_dir", ".readers.vtuav:read_long_term"),
    "vtuav_st_train": DatasetEntry("vtuav_dir", ".readers.vtuav:read_short_term_training"),
    "vtuav_lt_train": DatasetEntry("vtuav_dir", ".readers.vtuav:read_long_term_training"),
    "vot19rgbt": DatasetEntry("vot19rgbt_dir", ".readers.vot:read_rgbt2019"),
    "vot18": DatasetEntry("vot18_dir", ".readers.vot:read_vot2018"),
    "votlt18": DatasetEntry("votlt18_dir", ".readers.vot:read_lt2018"),
    "votlt19": DatasetEntry("votlt19_dir", ".readers.vot:read_lt2019"),
    "vot20rgbt": DatasetEntry("vot20rgbt_dir", ".readers.vot:read_rgbt2020"),
    "got10k_train_full": DatasetEntry("got10k_dir", ".readers.got10k:read_training"),
    "got10k_train_split": DatasetEntry("got10k_dir", ".readers.got10k:read_split_training"),
    "got10k_vottrain": DatasetEntry("got10k_dir", ".readers.got10k:read_vot_training"),
    "got10k_votval": DatasetEntry("got10k_dir", ".readers.got10k:read_vot_validation"),
    "got10k_official_val": DatasetEntry("got10k_dir", ".readers.got10k:read_validation"),
    "got10k_val": DatasetEntry("got10k_dir", ".readers.got10k:read_validation"),
    "got10k_test": DatasetEntry("got10k_dir", ".readers.got10k:read_testing"),
    "lasot": DatasetEntry("lasot_dir", ".readers.lasot:read_testing"),
    "lasot_train": DatasetEntry("lasot_dir", ".readers.lasot:read_training"),
    "lasot_extension_subset": DatasetEntry("lasot_extension_subset_dir", ".readers.lasot:read_extension"),
    "trackingnet": DatasetEntry("trackingnet_dir", ".readers.trackingnet:read_testing"),
    "trackingnet_train": DatasetEntry("trackingnet_dir", ".readers.trackingnet:read_training"),
    "otb": DatasetEntry("otb_dir", ".readers.tabled:read_otb"),
    "uav": DatasetEntry("uav_dir", ".readers.tabled:read_uav"),
    "uav20l": DatasetEntry("uav_dir", ".readers.tabled:read_uav20l"),
    "nfs": DatasetEntry("nfs_dir", ".readers.tabled:read_nfs"),
    "tc128": DatasetEntry("tc128_dir", ".readers.tc128:read_tc128"),
    "tnl2k": DatasetEntry("tnl2k_dir", ".readers.tnl2k:read_tnl2k"),
    "coco17": DatasetEntry("coco_dir", ".readers.coco:read_training"),
    "imagenetvid": DatasetEntry("imagenet_dir", ".readers.imagenetvid:read_training"),
    "imagenetdet": DatasetEntry("imagenet_dir", ".readers.imagenetdet:read_training"),
    "youtubevos": DatasetEntry("youtubevos_dir", ".readers.youtubevos:read_training"),
    "saliency": DatasetEntry("saliency_dir", ".readers.saliency:read_training"),
    "youtubebb": DatasetEntry("youtubebb_dir", ".readers.youtubebb:read_training"),
    "vid511": DatasetEntry("crop511_dir", ".readers.cropped:read_vid"),
    "youtubebb511": DatasetEntry("crop511_dir", ".readers.cropped:read_youtubebb"),
    "det511": DatasetEntry("crop511_dir", ".readers.cropped:read_det"),
    "coco511": DatasetEntry("crop511_dir", ".readers.cropped:read_coco"),
    "got10k511": DatasetEntry("crop511_dir", ".readers.cropped:read_got10k"),
    "lasot511": DatasetEntry("crop511_dir", ".readers.cropped:read_lasot"),
    "got10k_val511": DatasetEntry("crop511_dir", ".readers.cropped:read_got10k_val"),
    "gtot511": DatasetEntry("crop511_dir", ".readers.cropped:read_gtot"),
    "rgbt234_511": DatasetEntry("crop511_dir", ".readers.cropped:read_rgbt234"),
    "lasher511": DatasetEntry("crop511_dir", ".readers.cropped:read_lasher"),
    "lasher511_train882": DatasetEntry("crop511_dir", ".readers.cropped:read_lasher_held_in"),
    "lasher511_val97": DatasetEntry("crop511_dir", ".readers.cropped:read_lasher_held_out"),
    "lasher_unaligned511": DatasetEntry("crop511_dir", ".readers.cropped:read_lasher_unaligned"),
    "vtuav_st511": DatasetEntry("crop511_dir", ".readers.cropped:read_vtuav_short_term"),
    "vtuav_lt511": DatasetEntry("crop511_dir", ".readers.cropped:read_vtuav_long_term"),
    "videos": DatasetEntry("videos_dir", ".readers.folder:read_videos"),
    "synthetic_train": DatasetEntry("photos_dir", ".synthetic:stream_training"),
    "synthetic_val": DatasetEntry("photos_dir", ".synthetic:stream_validation"),
    "synthetic_rgb_train": DatasetEntry("photos_dir", ".synthetic.stream:stream_visible_training"),
    "synthetic_rgb_val": DatasetEntry("photos_dir", ".synthetic.stream:stream_visible_validation"),
    "synthetic_rgb_leaving": DatasetEntry("photos_dir", ".synthetic.stream:stream_visible_leaving"),
}

#: Configurations of the OSTrack code base give the training part of these sets the name of the test part.
TRAINING = {"lasot": "lasot_train", "trackingnet": "trackingnet_train"}

#: Sets that papers report on. A checkpoint chosen by its score on one of them is fitted to the test data.
BENCHMARKS = frozenset(
    {"lasher_test", "lasher_unaligned_test", "rgbt234", "rgbt210", "gtot", "vtuav_st", "vtuav_lt", "vot19rgbt"}
    | {"vot20rgbt", "lasot", "lasot_extension_subset", "otb", "uav", "uav20l", "nfs", "tnl2k", "tc128"}
    | {"vot18", "votlt18", "votlt19", "gtot511", "rgbt234_511"}
)


def load_training_set(name: str, folders: Mapping[str, str]) -> Many[Sequence]:
    """As `load_dataset`, with the names of configurations, where `LASOT` and `TRACKINGNET` are training parts. Warns of
    a set that papers report on."""
    if _is_benchmark(name):
        log.warning("DATA.TRAIN.DATASETS_NAME: %s is a test set: do not report scores on it after this training", name)
    return _load_named(name, folders)


def load_validation_set(name: str, folders: Mapping[str, str]) -> Many[Sequence]:
    """As `load_training_set`, for validation. Public recipes validate on test sets, so these only cause a warning."""
    if _is_benchmark(name):
        log.warning(
            "DATA.VAL.DATASETS_NAME: %s is a test set: a checkpoint chosen by it must not be published with scores on "
            "it; to choose one, train on LasHeR_train882 and validate on LasHeR_val97",
            name,
        )
    return _load_named(name, folders)


def _load_named(name: str, folders: Mapping[str, str]) -> Many[Sequence]:
    return load_dataset(TRAINING.get(name.lower(), name), folders)


def _is_benchmark(name: str) -> bool:
    """Whether a configuration's data set is one that papers report on."""
    return _split_name(TRAINING.get(name.lower(), name))[0] in BENCHMARKS


def load_dataset(name: str, folders: Mapping[str, str], *, indexed: bool = True) -> Many[Sequence]:
    """The sequences of a data set, by its name in any case (`LasHeR_train`, `lasher_test`, …).

    folders: the paths of local.py. indexed: read unchanged annotations from the index in the user's cache folder.
    Raises InputError for an unknown name and for a missing folder; the message names the key and the file to set it in.
    """
    reader, folder = find_dataset(name, folders)
    read: Callable[[Path], Many[Sequence]] = resolve(reader, __package__)
    with naming_source(folders):
        if not indexed or reader.startswith(".synthetic"):
            return read(folder)
        with open_index(_split_name(name)[0], folder):
            return read(folder)


def folders_of(name: str, data_dir: str | None, local: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    """Where a data set is looked for: the folder `--data_dir` or, without one, the paths that `local` reads.

    Raises InputError for an unknown name.
    """
    if not data_dir:
        return local()
    return {DATASETS[_split_name(name)[0]].key: data_dir, SOURCE: OPTION}


def find_dataset(name: str, folders: Mapping[str, str]) -> tuple[str, Path]:
    """The reader of a data set and its existing folder; the packed set where there is one.

    Raises InputError as `load_dataset`.
    """
    known, part = _split_name(name)
    with naming_source(folders):
        return _find(known, part, name, folders)


def _find(known: str, part: str, name: str, folders: Mapping[str, str]) -> tuple[str, Path]:
    packed = folders.get("packed_dir", "")
    if packed and is_packed(Path(packed) / known):
        return ".pack:read_pack", Path(packed) / known
    if packed and is_begun(Path(packed) / known):
        log.warning("%s: is not complete, so the images themselves are read; pack it again", Path(packed) / known)
    entry = DATASETS[known]
    folder = folders.get(entry.key, "")
    if entry.key != "photos_dir" and not (folder and (Path(folder) / part).is_dir()):
        raise InputError(f"{name}: folder {str(Path(folder) / part)!r} does not exist; set {entry.key} in local.py")
    return entry.reader, Path(folder) / part


def _split_name(name: str) -> tuple[str, str]:
    """A known data set, and the folder inside its folder: "videos/mine" is the folder `mine` of videos_dir. Raises
    InputError for unknown names, and for a part of another set."""
    known, _, part = name.partition("/")
    known = choose("data set", known, DATASETS)
    if part and known != "videos":
        raise InputError(f"{name}: only `videos` has parts, the folders in videos_dir; write {known}")
    return known, part

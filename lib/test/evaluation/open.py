"""Opening what a command names: a tracker (configuration, weights, devices) and sequences."""

import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from easydict import EasyDict

from ...core.checkpoint import find_checkpoint, load_weights
from ...core.config import config_name, load_config
from ...core.errors import InputError
from ...core.frame import INFRARED, NO_INFRARED, Streams
from ...core.paths import read_local
from ...core.registry import choose
from ...datasets.named import open_dataset
from ...datasets.sequence import Sequence
from ...models import build_method, build_model, network_class
from ...models.base import Network
from ...models.method import Method
from ...models.weights import load_state
from ..results.dialect import find_result, read_result
from ..tracker.crop_tracker import CropTracker
from ..tracker.forward_pass import EXACT, ONNX, Mode
from ..tracker.onnx_pass import OnnxPass
from ..tracker.opencv import KINDS, OpenCVTracker, build_opencv, weight_files
from ..tracker.protocol import Tracker
from ..tracker.replay import Replay
from .graph_cache import open_graphs
from .record import digest
from .workers import choose_devices

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A tracker that can be built: its configuration, weights and devices."""

    tracker: str  # the folder of experiments/
    config: str  # name of its results and checkpoints
    cfg: EasyDict  # resolved
    checkpoint: Path | None  # None: a tracker without weights of this toolbox
    devices: tuple[str, ...]  # one for each worker

    @property
    def streams(self) -> Streams:
        """The images of a frame that the tracker reads. Raises InputError for an unknown MODEL.NAME."""
        if self.checkpoint is None:
            return OpenCVTracker.streams
        network = network_class(self.cfg)
        return Streams(network.modalities, missing=network.missing_infrared)

    @property
    def modalities(self) -> int:
        """The number of these images."""
        return self.streams.modalities

    @property
    def files(self) -> list[Path]:
        """The weight files of the tracker. Raises InputError for a missing file of OpenCV's trackers."""
        return weight_files(self.cfg) if self.checkpoint is None else [self.checkpoint]

    @property
    def weights(self) -> Path:
        """The checkpoint, for commands that need a network. Raises InputError for trackers without one."""
        if self.checkpoint is None:
            raise InputError(f"{self.tracker}/{self.config}: has no network of this toolbox; choose another tracker")
        return self.checkpoint

    def load(self, mode: Mode = EXACT) -> Tracker:
        """The tracker on the first device. Raises InputError as `load_tracker` does."""
        return load_tracker(self.cfg, self.checkpoint, self.devices[0], mode)

    def check(self, mode: Mode) -> None:
        """Raises InputError for a mode that the device or the tracker does not support."""
        check_mode(self.cfg, self.checkpoint, self.devices[0], mode)

    def prepare(self, mode: Mode) -> None:
        """Make what the mode needs, once, before several processes load the tracker. Raises InputError as
        `load_tracker`."""
        if mode.backend == ONNX:
            open_onnx(self.cfg, self.weights)

    def load_method(self) -> Method:
        """The method with its network. Raises InputError as `load_network`, and for trackers without a network."""
        return build_method(load_network(self.cfg, self.weights).eval(), self.cfg)


def open_run(
    tracker: str,
    config: str,
    changes: Iterable[str] = (),
    *,
    checkpoint: str | Path | None = None,
    runid: int | None = None,
    device: str = "auto",
    threads: int = 0,
    num_gpus: int = 1,
) -> Run:
    """The run that the options `--set`, `--checkpoint`, `--runid`, `--device`, `--threads` and `--num_gpus` describe.

    Without a checkpoint, `find_checkpoint` looks for that of epoch `runid`, else of TEST.EPOCH. Raises InputError for a
    wrong configuration, a missing checkpoint and a missing device.
    """
    cfg = load_config(tracker, config, changes)
    devices = tuple(choose_devices(device, threads, num_gpus))
    name = config_name(config)
    if cfg.MODEL.NAME in KINDS:
        return Run(tracker, name, cfg, None, devices)
    if checkpoint is None:
        epoch = cfg.TEST.EPOCH if runid is None else runid
        checkpoint = find_checkpoint(read_local("test")["save_dir"], tracker, name, epoch, exact=runid is not None)
    return Run(tracker, name, cfg, Path(checkpoint), devices)


def load_tracker(cfg: EasyDict, checkpoint: str | Path | None, device: str, mode: Mode = EXACT) -> Tracker:
    """The tracker of a resolved configuration, ready to track on `device`: a network with the weights of a file or,
    without a checkpoint, one of OpenCV's.

    Raises InputError when the file is missing, unreadable or holds another network, and for a mode that the device or
    the tracker does not support.
    """
    check_mode(cfg, checkpoint, device, mode)
    if checkpoint is None:
        return build_opencv(cfg)
    if mode.backend == ONNX:
        forward = open_onnx(cfg, checkpoint)
        return CropTracker(forward.method, device, mode, forward=forward)
    return CropTracker(build_method(load_network(cfg, checkpoint), cfg), device, mode)


def check_mode(cfg: EasyDict, checkpoint: str | Path | None, device: str, mode: Mode) -> None:
    """Raises InputError for a mode that the device does not support, and for a tracker without a network of this
    toolbox in any mode that changes how networks are computed."""
    mode.check(device)
    if checkpoint is None and replace(mode, batch=1) != EXACT:
        raise InputError(
            f"{cfg.MODEL.NAME}: has no network of this toolbox; leave --precision, --crops, --compile and --backend out"
        )


def open_onnx(cfg: EasyDict, checkpoint: str | Path) -> OnnxPass:
    """The forward passes of a configuration with the weights of a file, by ONNX Runtime. Raises InputError as
    `open_graphs` and `load_network`."""
    return open_graphs(cfg, digest(checkpoint), lambda: load_network(cfg, checkpoint), beside=Path(checkpoint))


def load_network(cfg: EasyDict, checkpoint: str | Path) -> Network:
    """The network of a resolved configuration with the weights of a file.

    Raises InputError when the file is missing, unreadable or holds another network.
    """
    network = build_model(cfg)
    load_state(network, load_weights(checkpoint), source=str(checkpoint))
    return network


def open_replay(folder: str | Path) -> Replay:
    """The result files of a folder as a tracker. Raises InputError for a sequence without a result."""

    def read(name: str) -> np.ndarray:
        path = find_result(folder, name)
        if path is None:
            raise InputError(f"{name}: no result in {folder}; a file {name}.txt is expected there")
        return read_result(path)

    return Replay(read)


def named_sequences(
    dataset: str,
    data_dir: str | None,
    wanted: str | None,
    local: Callable[[], Mapping[str, str]],
    streams: Streams = Streams(1),  # noqa: B008  (immutable)
) -> list[Sequence]:
    """The sequences that a tracking command names, or the one `wanted`; local: reads the folders of local.py;
    streams: what the tracker reads, for one warning where sequences have less.

    Raises InputError as the readers do.
    """
    sequences = open_dataset(dataset, data_dir, local)
    named = list(sequences) if wanted is None else [choose_sequence(sequences, wanted)]
    lacking = [sequence.name for sequence in named if INFRARED not in sequence.frames.modalities]
    if lacking and streams.modalities > 1:
        log.warning("%s, in %d of %d sequences: %s", lacking[0], len(lacking), len(named), NO_INFRARED[streams.missing])
    return named


def choose_sequence(sequences: Many[Sequence], wanted: str) -> Sequence:
    """The sequence of that name or, where none has it, of that index from 0.

    Raises InputError with the nearest name, or with the range of indices.
    """
    names = [sequence.name for sequence in sequences]
    if wanted not in names and wanted.isdigit():
        if int(wanted) >= len(names):
            raise InputError(f"--sequence {wanted}: indices go from 0 to {len(names) - 1}")
        return sequences[int(wanted)]
    return sequences[names.index(wanted if wanted in names else choose("sequence", wanted, names))]

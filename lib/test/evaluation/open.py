"""Opening what a command names: a tracker with its configuration, weights, devices and refiner."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from easydict import EasyDict

from ...core.checkpoint import find_checkpoint, load_weights
from ...core.config import config_name, load_config
from ...core.errors import InputError
from ...core.frame import Streams
from ...core.paths import read_local
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
from ..tracker.refined import Refined, join_streams
from ..tracker.refiner import CropRefiner
from ..tracker.replay import Replay, StaticBox
from .graph_cache import open_graphs
from .record import digest
from .workers import choose_devices

_MASKS = "TEST.MASK=true"  # a network with a mask head makes masks
NO_REFINER = "none"  # in place of a refiner's name: none, whatever TEST.REFINER says


@dataclass(frozen=True)
class Refine:
    """Which refiner a command line asks for."""

    named: str = ""  # folder/configuration, or NO_REFINER; "": that of TEST.REFINER
    checkpoint: str | Path | None = None  # None: as for trackers
    changes: tuple[str, ...] = ()  # of its configuration, KEY=VALUE
    masks: bool = False  # whether it, or the tracker, is to make masks, if it has a mask head


@dataclass(frozen=True)
class Run:
    """A tracker that can be built: its configuration, weights and devices."""

    tracker: str  # the folder of experiments/
    config: str  # name of its results and checkpoints
    cfg: EasyDict  # resolved
    checkpoint: Path | None  # None: a tracker without weights of this toolbox
    devices: tuple[str, ...]  # one for each worker
    refiner: "Run | None" = None  # whose network refines the boxes

    @property
    def streams(self) -> Streams:
        """The images of a frame that the tracker reads. Raises InputError for an unknown MODEL.NAME."""
        if self.checkpoint is None:
            own = OpenCVTracker.streams
        else:
            network = network_class(self.cfg)
            own = Streams(network.modalities, missing=network.missing_infrared)
        return join_streams(own, self.refiner.streams) if self.refiner else own

    @property
    def modalities(self) -> int:
        """The number of these images."""
        return self.streams.modalities

    @property
    def files(self) -> list[Path]:
        """The weight files of the tracker and its refiner. Raises InputError for a missing file of OpenCV's."""
        own = weight_files(self.cfg) if self.checkpoint is None else [self.checkpoint]
        return own + (self.refiner.files if self.refiner else [])

    @property
    def name(self) -> str:
        """Folder and configuration."""
        return f"{self.tracker}/{self.config}"

    @property
    def refined_by(self) -> tuple[str, EasyDict] | None:
        """Name and configuration of the refiner, for records of results."""
        return (self.refiner.name, self.refiner.cfg) if self.refiner else None

    @property
    def weights(self) -> Path:
        """The checkpoint, for commands that need a network. Raises InputError for trackers without one."""
        if self.checkpoint is None:
            raise InputError(f"{self.name}: has no network of this toolbox; choose another tracker")
        return self.checkpoint

    def load(self, mode: Mode = EXACT) -> Tracker:
        """The tracker on the first device. Raises InputError as `load_tracker` does."""
        return load_run(self, self.devices[0], mode)

    def check(self, mode: Mode) -> None:
        """Raises InputError for a mode that the device or the tracker does not support."""
        check_mode(self.cfg, self.checkpoint, self.devices[0], self.own_mode(mode))
        if self.refiner:
            self.refiner.check(mode)

    def own_mode(self, mode: Mode) -> Mode:
        """The mode of the tracker beside its refiner: a tracker without a network has none."""
        return Mode(batch=mode.batch) if self.checkpoint is None and self.refiner else mode

    def prepare(self, mode: Mode) -> None:
        """Make what the mode needs, once, before several processes load the tracker. Raises InputError as
        `load_tracker`."""
        if mode.backend == ONNX and self.checkpoint is not None:
            open_onnx(self.cfg, self.weights)
        if self.refiner:
            self.refiner.prepare(mode)

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
    refine: "Refine | None" = None,
) -> Run:
    """The run that the options `--set`, `--checkpoint`, `--runid`, `--device`, `--threads`, `--num_gpus` and those of
    `Refine` describe.

    Without a checkpoint, `find_checkpoint` looks for that of epoch `runid`, else of TEST.EPOCH. Raises InputError for a
    wrong configuration, a missing checkpoint and a missing device.
    """
    refine, changes = refine or Refine(), list(changes)
    cfg = load_config(tracker, config, changes)
    if refine.masks and "MASK" in cfg.TEST and cfg.MODEL.MASK:
        cfg = load_config(tracker, config, [*changes, _MASKS])
    devices = tuple(choose_devices(device, threads, num_gpus))
    name = config_name(config)
    if checkpoint is None and cfg.MODEL.NAME not in KINDS:
        epoch = cfg.TEST.EPOCH if runid is None else runid
        checkpoint = find_checkpoint(read_local("test")["save_dir"], tracker, name, epoch, exact=runid is not None)
    found = None if cfg.MODEL.NAME in KINDS or checkpoint is None else Path(checkpoint)
    own = cfg.TEST.REFINER if "REFINER" in cfg.TEST else ""  # a refiner's configuration has no such key
    named = refine.named or own
    refiner = None if named in ("", NO_REFINER) else open_refiner(named, refine, devices)
    return Run(tracker, name, cfg, found, devices, refiner)


def open_refiner(named: str, options: "Refine", devices: tuple[str, ...]) -> Run:
    """The run of a refiner, named by folder and configuration. Raises InputError as `open_run`, and for a network that
    refines nothing."""
    tracker, _, config = named.partition("/")
    if not config:
        raise InputError(f"refiner {named!r}: expected folder/configuration, for example alpha_refine/secm_r34")
    own = Refine(masks=options.masks)
    run = open_run(tracker, config, options.changes, checkpoint=options.checkpoint, device="cpu", refine=own)
    if run.checkpoint is None or not network_class(run.cfg).refines:
        raise InputError(f"refiner {named}: does not refine boxes; choose one such as alpha_refine/secm_r34")
    return replace(run, devices=devices)


def load_run(run: Run, device: str, mode: Mode = EXACT) -> Tracker:
    """The tracker of a run with its refiner, ready to track on `device`. Raises InputError as `load_tracker`."""
    tracker = load_tracker(run.cfg, run.checkpoint, device, run.own_mode(mode))
    if run.refiner is None:
        return tracker
    return Refined(tracker, load_refiner(run.refiner.cfg, run.refiner.weights, device, mode))


def load_refiner(cfg: EasyDict, checkpoint: str | Path, device: str, mode: Mode = EXACT) -> CropRefiner:
    """The refiner of a resolved configuration. Raises InputError as `load_tracker`."""
    check_mode(cfg, checkpoint, device, mode)
    tracker = _load_crop_tracker(cfg, checkpoint, device, mode)
    return CropRefiner(tracker, tracker.method)  # type: ignore[arg-type]  # the method of a network that refines


def load_tracker(cfg: EasyDict, checkpoint: str | Path | None, device: str, mode: Mode = EXACT) -> Tracker:
    """The tracker of a resolved configuration, ready to track on `device`: a network with the weights of a file or,
    without a checkpoint, one of OpenCV's. A refiner refines its own last box.

    Raises InputError when the file is missing, unreadable or holds another network, and for a mode that the device or
    the tracker does not support.
    """
    check_mode(cfg, checkpoint, device, mode)
    if checkpoint is None:
        return build_opencv(cfg)
    if network_class(cfg).refines:
        return Refined(StaticBox(), load_refiner(cfg, checkpoint, device, mode))
    return _load_crop_tracker(cfg, checkpoint, device, mode)


def _load_crop_tracker(cfg: EasyDict, checkpoint: str | Path, device: str, mode: Mode) -> CropTracker:
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

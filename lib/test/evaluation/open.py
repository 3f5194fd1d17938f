"""What a run starts from: a resolved configuration with its weights and devices, and sequences."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from pathlib import Path

from easydict import EasyDict

from ...core.checkpoint import find_checkpoint, load_state, load_weights
from ...core.config import load_config
from ...core.errors import InputError
from ...core.paths import read_local
from ...core.registry import choose
from ...datasets.named import open_dataset
from ...datasets.sequence import Sequence
from ...models import build_model
from ..tracker.crop_tracker import Tracker
from ..tracker.forward_pass import EXACT, Mode
from .workers import choose_devices


@dataclass(frozen=True)
class Run:
    """A tracker that can be built: all that its name, a checkpoint and a device stand for."""

    tracker: str  # the folder of experiments/
    config: str  # what results and checkpoints are called
    cfg: EasyDict  # resolved
    checkpoint: Path
    devices: tuple[str, ...]  # one for each worker

    def load(self, mode: Mode = EXACT) -> Tracker:
        """The tracker on the first device. Raises InputError as `load_tracker` does."""
        return load_tracker(self.cfg, self.checkpoint, self.devices[0], mode)


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
    """What the options `--set`, `--checkpoint`, `--runid`, `--device`, `--threads` and `--num_gpus` name.

    Without a checkpoint that of epoch `runid` (TEST.EPOCH) is looked for, as `find_checkpoint` says. Raises InputError
    for a wrong configuration, a checkpoint that is not found and a device that is not there.
    """
    cfg = load_config(tracker, config, changes)
    devices = tuple(choose_devices(device, threads, num_gpus))
    name = config_name(config)
    if checkpoint is None:
        epoch = cfg.TEST.EPOCH if runid is None else runid
        checkpoint = find_checkpoint(read_local("test")["save_dir"], tracker, name, epoch)
    return Run(tracker, name, cfg, Path(checkpoint), devices)


def load_tracker(cfg: EasyDict, checkpoint: str | Path, device: str, mode: Mode = EXACT) -> Tracker:
    """The network of a resolved configuration with the weights of a file, ready to track on `device`.

    Raises InputError when the file is missing, unreadable or holds another network, and for a mode that the device
    does not have.
    """
    model = build_model(cfg)
    load_state(model, load_weights(checkpoint), source=str(checkpoint))
    return Tracker(model, cfg, device, mode)


def config_name(config: str) -> str:
    """What results and checkpoints of a configuration are called, given its name or its file.

    >>> config_name("mine/small.yaml"), config_name("vitb_256_mae_32x4_ep300")
    ('small', 'vitb_256_mae_32x4_ep300')
    """
    return Path(config).stem if config.endswith((".yaml", ".yml")) else config


def named_sequences(
    dataset: str, data_dir: str | None, wanted: str | None, local: Callable[[], Mapping[str, str]]
) -> list[Sequence]:
    """The sequences that a tracking command names, or the one `wanted`; local: reads the folders of local.py.

    Raises InputError as the readers do.
    """
    sequences = open_dataset(dataset, data_dir, local)
    return list(sequences) if wanted is None else [choose_sequence(sequences, wanted)]


def choose_sequence(sequences: Ordered[Sequence], wanted: str) -> Sequence:
    """The sequence of that name or, where none has it, of that index from 0.

    Raises InputError with the nearest name, or with the range of indices.
    """
    names = [sequence.name for sequence in sequences]
    if wanted not in names and wanted.isdigit():
        if int(wanted) >= len(names):
            raise InputError(f"--sequence {wanted}: indices go from 0 to {len(names) - 1}")
        return sequences[int(wanted)]
    return sequences[names.index(wanted if wanted in names else choose("sequence", wanted, names))]

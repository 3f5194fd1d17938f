"""Checkpoint files: written whole or not at all, and read as data, which never runs as code."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .atomic import write_atomically
from .compact import expand
from .errors import InputError
from .paths import ROOT, typed_command
from .unpickle import load_pickled

#: Where the weights lie in a checkpoint: this toolbox and the OSTrack code base, DeiT and MAE, others.
_WEIGHT_KEYS = ("net", "model", "state_dict")

_WRAPPED = "module."  # before every key of a network that several GPUs trained


def save_checkpoint(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: the old file stays until the new one is complete."""
    with _write(path) as temporary:
        torch.save(dict(content), temporary)


def save_weights(path: str | Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write weights alone as safetensors, atomically. metadata: short texts for the file's header."""
    with _write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # of the user's files; safetensors would deny others to read it
        save_file({key: value.contiguous() for key, value in weights.items()}, temporary, dict(metadata))
        temporary.chmod(mode)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU: a torch file as plain data, `.safetensors` or `.npz` as a dict of tensors.

    No code of the file runs; objects of unknown classes (public files hold settings and meters) become placeholders.
    Raises InputError for a missing, truncated or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; check the name, or train or download it first")
    try:
        content = _READERS.get(path.suffix, load_pickled)(path)
    except PermissionError:
        raise
    except Exception as error:  # a parser may raise any error on damaged bytes
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(f"{path}: is not a whole checkpoint ({reason}); copy it again") from None
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: holds {type(content).__name__}, expected a dict with the weights under 'net' or 'model'; "
            "give a checkpoint of a tracker or a ViT"
        )
    return content


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint file, under any of the usual keys. Raises InputError as `load_checkpoint`."""
    content: Any = load_checkpoint(path)
    for key in _WEIGHT_KEYS:
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    weights = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if all(key.startswith(_WRAPPED) for key in weights):
        weights = {key.removeprefix(_WRAPPED): value for key, value in weights.items()}
    if not weights:
        raise InputError(
            f"{path}: holds no weights; expected a state dict, bare or under {', '.join(_WEIGHT_KEYS)}; "
            "give a checkpoint of a tracker or a ViT"
        )
    return weights


def find_checkpoint(save_dir: str | Path, script: str, config: str, epoch: int) -> Path:
    """The checkpoint of an epoch: `<save_dir>[/<config>]/checkpoints/train/<script>/<config>/<Name>_ep0015.pth.tar`.

    Where the configuration was never trained, the bundled model is used, such as
    `pretrained_models/iimf_tiny.safetensors` for iimf_track and tiny. Raises InputError with the folders and the epochs
    that exist there.
    """
    inner = Path("checkpoints") / "train" / script / config
    folders = [Path(save_dir) / config / inner, Path(save_dir) / inner]
    for folder in folders:
        found = sorted(folder.glob(f"*_ep{epoch:04d}.pth.tar"))
        if len(found) > 1:
            raise InputError(f"{folder}: {len(found)} checkpoints of epoch {epoch}; name one with --checkpoint FILE")
        if found:
            return found[0]
    shipped = ROOT / "pretrained_models" / f"{script.removesuffix('_track')}_{config}.safetensors"
    if shipped.is_file() and not any(folder.is_dir() for folder in folders):
        return shipped
    there = sorted({path.name for folder in folders for path in folder.glob("*_ep*.pth.tar")})
    raise InputError(
        f"no checkpoint of epoch {epoch} in {' or '.join(map(str, folders))}"
        + (f" (there: {', '.join(there)}; choose with --runid)" if there else "")
        + f"; train it with {typed_command('train', 'train')} or give --checkpoint FILE"
    )


@contextmanager
def _write(path: str | Path) -> Iterator[Path]:
    """`write_atomically` for torch and safetensors, which report errors of the disk as errors of their own."""
    try:
        with write_atomically(path) as temporary:
            yield temporary
    except (RuntimeError, SafetensorError) as error:
        free = shutil.disk_usage(Path(path).parent).free
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: cannot be written ({reason}); {free / 1e6:.0f} MB are free on its disk: make room; "
            "a file of that name is as it was"
        ) from None


def _read_npz(path: Path) -> dict[str, Tensor]:
    content = np.load(path, allow_pickle=False)
    if not isinstance(content, np.lib.npyio.NpzFile):
        raise ValueError("it holds one array without a name")
    with content as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    return expand(load_file(path))


_READERS: dict[str, Callable[[Path], Any]] = {".safetensors": _read_safetensors, ".npz": _read_npz}

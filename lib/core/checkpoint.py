"""Checkpoint files: written whole or not at all, and read as data, which never runs as code."""

import logging
import shutil
import zipfile
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
from .torch_file import is_torch_zip, read_old, read_zip
from .unpickle import Placeholder

log = logging.getLogger(__name__)

#: Where the weights lie in a checkpoint: this toolbox and the OSTrack code base, DeiT and MAE, others, MDNet.
_WEIGHT_KEYS = ("net", "model", "state_dict", "shared_layers")

_NESTED = 3  # of them within each other
#: Called with a file that is complete and does not have its name yet.
Ready = Callable[[Path], None]

#: Before every key of a network that several GPUs, or Lightning, trained
_WRAPPED = ("module.", "model.")
_COMPILED = "_orig_mod."  # in the keys of a network that torch.compile wrapped
_LARGEST = 4 << 30  # bytes that a `.npz` may expand to


def save_checkpoint(path: str | Path, content: Mapping[str, Any], ready: Ready = lambda temporary: None) -> None:
    """Write a checkpoint atomically: the old file stays until the new one is complete. ready: is called with the
    complete file before it gets its name."""
    with _write(path) as temporary:
        torch.save(dict(content), temporary)
        ready(temporary)


def save_weights(path: str | Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write weights alone as safetensors, atomically. metadata: short texts for the file's header."""
    with _write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # of the user's files; safetensors would deny others to read it
        save_file({key: value.contiguous() for key, value in weights.items()}, temporary, dict(metadata))
        temporary.chmod(mode)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU: a torch file as plain data, `.safetensors` or `.npz` as a dict of tensors.

    What kind a file is, its first bytes say. No code of the file runs; objects of unknown classes (public files hold
    settings and meters) become placeholders. Raises InputError for a missing, truncated or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; check the name, or train or download it first")
    try:
        content = _read(path)
    except PermissionError:
        raise
    except Exception as error:  # a parser may raise any error on damaged bytes
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(f"{path}: is not a whole checkpoint ({reason[:_SHOWN]}); copy it again") from None
    _refuse_objects(path, content)
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: holds {type(content).__name__}, expected a dict with the weights under 'net' or 'model'; "
            "give a checkpoint of a tracker or a ViT"
        )
    return content


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint file, under any of the usual keys, also one within another; without the prefixes
    that torch.compile and training on several GPUs leave. Raises InputError as `load_checkpoint`."""
    content: Any = load_checkpoint(path)
    for _ in range(_NESTED):
        inner = [content[key] for key in _WEIGHT_KEYS if isinstance(content.get(key), (dict, Placeholder))]
        content = inner[0] if inner else content
        _refuse_objects(path, content)
    found = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    weights = {key.replace(_COMPILED, ""): value for key, value in found.items()}
    while prefix := next((one for one in _WRAPPED if weights and all(key.startswith(one) for key in weights)), ""):
        weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    if not weights:
        raise InputError(
            f"{path}: holds no weights; expected a state dict, bare or under {', '.join(_WEIGHT_KEYS)}; "
            "give a checkpoint of a tracker or a ViT"
        )
    if len(weights) < len(found):
        raise InputError(f"{path}: holds weights with and without {_COMPILED!r} in their names; save only one of them")
    return weights


def find_checkpoint(save_dir: str | Path, script: str, config: str, epoch: int, *, exact: bool = False) -> Path:
    """The checkpoint of an epoch: `<save_dir>[/<config>]/checkpoints/train/<script>/<config>/<Name>_ep0015.pth.tar`.

    Where there is none, the bundled model is used, such as `pretrained_models/iimf_tiny.safetensors` for iimf_track and
    tiny; one line says so if the configuration was trained. exact: this epoch and no other model.
    Raises InputError with the folders and the epochs that exist there.
    """
    inner = Path("checkpoints") / "train" / script / config
    folders = [Path(save_dir) / config / inner, Path(save_dir) / inner]
    for folder in folders:
        found = sorted(folder.glob(f"*_ep{epoch:04d}.pth.tar"))
        if len(found) > 1:
            raise InputError(f"{folder}: {len(found)} checkpoints of epoch {epoch}; name one with --checkpoint FILE")
        if found:
            return found[0]
    trained = [folder for folder in folders if folder.is_dir()]
    there = sorted({path.name for folder in trained for path in folder.glob("*_ep*.pth.tar")})
    missing = f"no checkpoint of epoch {epoch} in {' or '.join(map(str, trained or folders))}"
    missing += f" (there: {', '.join(there)}; choose with --runid)" if there else ""
    bundled = ROOT / "pretrained_models" / f"{script.removesuffix('_track')}_{config}.safetensors"
    if bundled.is_file() and not exact:
        if trained:
            log.warning("%s; the bundled model is used: %s", missing, bundled)
        return bundled
    raise InputError(f"{missing}; train it with {typed_command('train', 'train')} or give --checkpoint FILE")


@contextmanager
def _write(path: str | Path) -> Iterator[Path]:
    """`write_atomically` for torch and safetensors, which report errors of the disk as errors of their own."""
    try:
        with write_atomically(path) as temporary:
            yield temporary
    except (RuntimeError, SafetensorError) as error:
        there = next(folder for folder in Path(path).resolve().parents if folder.exists())
        free = shutil.disk_usage(there).free
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: cannot be written ({reason}); {free / 1e6:.0f} MB are free on its disk: make room; "
            "a file of that name is as it was"
        ) from None


def _refuse_objects(path: str | Path, content: Any) -> None:
    if isinstance(content, Placeholder):
        raise InputError(
            f"{path}: holds a whole object of class {content.name}, which only its own code can read; where that code "
            "is, save the weights alone: torch.save(model.state_dict(), FILE)"
        )


def _read(path: Path) -> Any:
    with open(path, "rb") as file:
        head, size = file.read(40), path.stat().st_size
        if not size:
            raise ValueError("it is empty")
        for start, words in _OTHERS.items():
            if head.lstrip().lower().startswith(start):
                raise ValueError(words)
        if head[8:9] == b"{":
            return expand(load_file(path))
        file.seek(0)
        if not head.startswith(b"PK"):
            return read_old(file, size)
        with zipfile.ZipFile(file) as archive:
            if is_torch_zip(archive):
                return read_zip(archive, size)
            if not all(info.filename.endswith(".npy") for info in archive.infolist()):
                raise ValueError("it is a zip archive of other files; unpack it first")
            if sum(info.file_size for info in archive.infolist()) > _LARGEST:
                raise ValueError(f"it expands to more than {_LARGEST >> 30} GiB")
    return _read_npz(path)


def _read_npz(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


_SHOWN = 200  # characters of a parser's message
#: How a file begins that is often taken for a checkpoint -> what it is
_OTHERS = {
    b"version https://git-lfs": "it is Git LFS's pointer, not the file itself: fetch it with git lfs pull",
    b"<!doctype": "it is a web page: the download went wrong",
    b"<html": "it is a web page: the download went wrong",
    b"\x93numpy": "it is one array without a name; expected an .npz file",
    b"\x1f\x8b": "it is packed by gzip; unpack it first",
    b"rar!": "it is a RAR archive; unpack it first",
    b"7z\xbc\xaf": "it is a 7z archive; unpack it first",
    b"\x89hdf": "it is a file of HDF5, as Keras writes them; only weights of PyTorch are read",
}

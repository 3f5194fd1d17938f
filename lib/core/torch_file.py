"""Files of torch.save, in the zip format and the one before it, read as data: tensors, numbers, texts, containers.

torch.load itself is not used: it trusts the sizes that a file states, and builds objects of other packages.
"""

import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .unpickle import Name, Unpickler

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the old format
_DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexDouble": torch.complex128,
    "ComplexFloat": torch.complex64,
    "Untyped": torch.uint8,
}


class Storage(NamedTuple):
    """Values that tensors share: their bytes, [N] uint8, and their type."""

    data: Tensor
    dtype: torch.dtype


def read_zip(archive: zipfile.ZipFile, size: int) -> Any:
    """The content of a file that torch.save wrote since version 1.6. size: of the file, in bytes.

    Raises ValueError, KeyError and the errors of zipfile and pickle for what is damaged or wrong.
    """
    entries = {info.filename: info for info in archive.infolist()}
    prefix = next(name for name in entries if name.endswith("data.pkl")).removesuffix("data.pkl")
    left = size

    def take(name: str) -> bytes:
        nonlocal left
        info = entries[prefix + name]
        left -= info.file_size
        if info.compress_type != zipfile.ZIP_STORED or left < 0:
            raise ValueError(f"its part {name} is compressed or overlaps others")
        return archive.read(info)

    def allocate(key: str, length: int) -> Tensor:
        content = take(f"data/{key}")
        if len(content) < length:
            raise ValueError(f"its tensor data {key} has {len(content)} bytes, not {length}")
        data = torch.empty(len(content), dtype=torch.uint8)
        data.numpy()[:] = np.frombuffer(content, np.uint8)
        return data

    if f"{prefix}byteorder" in entries and take("byteorder") != b"little":
        raise ValueError("its numbers are in big-endian order")
    with archive.open(entries[f"{prefix}data.pkl"]) as file:
        return _Content(allocate, size).read(file)


def read_old(file: BinaryIO, size: int) -> Any:
    """The content of a file that torch.save wrote before version 1.6. size: of the file, in bytes. Raises as
    `read_zip`."""
    waiting: dict[str, Tensor] = {}
    left = size

    def allocate(key: str, length: int) -> Tensor:
        nonlocal left
        left -= length
        if left < 0:
            raise ValueError(f"its tensor data {key} would be larger than the file")
        return waiting.setdefault(key, torch.empty(length, dtype=torch.uint8))

    content = _Content(allocate, size)
    magic, _, system = (content.read(file) for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it is a pickle, but not one of torch.save")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise ValueError("its numbers are in big-endian order")
    found = content.read(file)
    for key in content.read(file):
        data, storage = waiting.pop(key), content.storages[key]
        values = int.from_bytes(file.read(8), "little")
        if values * storage.dtype.itemsize != len(data):
            raise ValueError(f"its tensor data {key} has {values} values, not {len(data) // storage.dtype.itemsize}")
        if file.readinto(data.numpy()) != len(data):  # type: ignore[attr-defined]
            raise ValueError("it is cut short")
    if waiting:
        raise ValueError("it lacks data of its tensors")
    return found


class _Content:
    """Reads pickles whose tensors refer to storages. allocate: key, bytes -> [N] uint8."""

    def __init__(self, allocate: Callable[[str, int], Tensor], size: int):
        self.allocate = allocate
        self.storages: dict[str, Storage] = {}
        self._repeats = size  # bytes that tensors may have beyond their storages, where a stride is 0

    def read(self, file: Any) -> Any:
        rebuild: dict[str, Callable[..., Any]] = {
            "_rebuild_tensor": self._tensor,
            "_rebuild_tensor_v2": self._tensor,
            "_rebuild_tensor_v3": self._tensor_of_type,
            "_rebuild_parameter": lambda data, *more: data,
            "_rebuild_parameter_with_state": lambda data, *more: data,
        }
        functions = {f"torch._utils.{name}": function for name, function in rebuild.items()}
        functions |= {"torch.Size": lambda items=(): tuple(items), "torch.device": lambda *words: words}
        return Unpickler(file, functions, self._stored).load()

    def _stored(self, reference: Any) -> Storage | Name:
        """What a persistent id stands for: ("storage", type, key, device, number of values, view or None)."""
        if not isinstance(reference, tuple) or not 2 <= len(reference) <= 6 or not isinstance(reference[1], Name):
            raise pickle.UnpicklingError("it refers to something that is no tensor data")
        if reference[0] == "module":  # the class of a whole pickled network, with its source
            return reference[1]
        _, kind, key, _, values, view = (*reference, None)[:6]
        dtype = _DTYPES[kind.text.rpartition(".")[2].removesuffix("Storage")]
        length = _whole(values) * dtype.itemsize
        if not isinstance(key, str):
            raise pickle.UnpicklingError("it refers to tensor data without a name")
        if key not in self.storages:
            self.storages[key] = Storage(self.allocate(key, length), dtype)
        data = self.storages[key].data
        if length > len(data):
            raise ValueError(f"its tensor data {key} has {len(data)} bytes, not {length}")
        if view is not None:  # of torch before version 0.4: name, first value, number of values
            start, count = _whole(view[1]) * dtype.itemsize, _whole(view[2]) * dtype.itemsize
            if start + count > len(data):
                raise ValueError(f"a view of its tensor data {key} is larger than the data")
            data = data[start : start + count]
        return Storage(data, dtype)

    def _tensor(
        self, storage: Any, offset: Any, shape: Any, stride: Any, grad: Any = None, hooks: Any = None, bits: Any = None
    ) -> Tensor:
        if not isinstance(storage, Storage) or bits:
            raise pickle.UnpicklingError("a tensor is stored in an unknown way")
        return self._view(storage, storage.dtype, offset, shape, stride)

    def _tensor_of_type(
        self, storage: Any, offset: Any, shape: Any, stride: Any, grad: Any, hooks: Any, kind: Any, bits: Any = None
    ) -> Tensor:
        dtype = getattr(torch, kind.text.removeprefix("torch."), None) if isinstance(kind, Name) else None
        if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype) or bits:
            raise pickle.UnpicklingError("a tensor is stored in an unknown way")
        return self._view(storage, dtype, offset, shape, stride)

    def _view(self, storage: Storage, dtype: torch.dtype, offset: Any, shape: Any, stride: Any) -> Tensor:
        sizes, steps, first = [*map(_whole, shape)], [*map(_whole, stride)], _whole(offset)
        values = storage.data[: len(storage.data) // dtype.itemsize * dtype.itemsize].view(dtype)
        count = math.prod(sizes)
        last = first + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True)) if count else first
        if len(sizes) > 64 or last > len(values) - bool(count):
            raise ValueError("a tensor is larger than its data")
        self._repeats -= max(0, count - len(values)) * dtype.itemsize
        if self._repeats < 0:
            raise ValueError("tensors repeat their data beyond the size of the file")
        return values.as_strided(sizes, steps, first)


def _whole(number: Any) -> int:
    """`number`, a size or place in memory. Raises UnpicklingError for what is none."""
    if type(number) is not int or not 0 <= number < 1 << 48:
        raise pickle.UnpicklingError("a size in it is no size")
    return number


def is_torch_zip(archive: zipfile.ZipFile) -> bool:
    """Whether torch.save wrote a zip file."""
    return any(Path(name).name == "data.pkl" for name in archive.namelist())

"""ONNX files, run by ONNX Runtime on the processor: tensors in, tensors out."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import tree
from .errors import InputError
from .measure.machine import usable_cores

#: What writing and checking ONNX files needs; running them needs only the last one.
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
RUNTIME = PACKAGES[-1:]
#: The inputs of a network's graphs, besides the memory.
INPUTS = ("template", "box", "search", "prior")


class OnnxFile:
    """An ONNX file, ready to run: inputs by name -> outputs by name."""

    def __init__(self, path: Path, threads: int = 0):
        """threads: that it computes in; 0: `usable_threads`. Raises InputError for a file that ONNX Runtime cannot
        read."""
        check_packages(RUNTIME)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_threads()
        # Threads wait busily between the operations of a pass, which takes a quarter off its time, but not for the next
        # frame: that would take the cores from decoding and from other processes.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its error types have no common base
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise InputError(f"{path}: ONNX Runtime cannot read it ({reason}); remove it or make it again") from None
        #: The names that it reads and the names that it returns.
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]

    def __call__(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs; values that are no input of the file are ignored."""
        arrays = self._session.run(None, {name: given[name].numpy() for name in self.inputs})
        return {name: torch.from_numpy(array) for name, array in zip(self.outputs, arrays, strict=True)}

    @property
    def metadata(self) -> dict[str, str]:
        """The texts that were stored with the graph."""
        return self._session.get_modelmeta().custom_metadata_map


def usable_threads() -> int:
    """The threads that PyTorch uses now (OMP_NUM_THREADS, a worker's share), but no more than the usable cores."""
    return min(torch.get_num_threads(), usable_cores())


def memory_names(memory: Any) -> list[str]:
    """A name in graphs for each tensor of a method's memory: that of its field, unless an input has it."""
    return [f"{name}_memory" if name in INPUTS else name for name in tree.names(memory)]


def check_packages(packages: Sequence[str] = PACKAGES) -> None:
    """Raises InputError, with the command that installs them, where packages for ONNX are missing."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise InputError(f"ONNX needs {', '.join(missing)}; install with: pip install -e '.[export]'")

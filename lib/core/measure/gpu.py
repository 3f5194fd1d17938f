"""The device of a measurement, and its utilisation."""

import subprocess
from statistics import mean
from typing import IO

import torch


def describe_device(device: torch.device) -> dict[str, str]:
    """PyTorch's version, and the number of threads on a CPU or the name of the GPU."""
    words = {"torch": torch.__version__}
    if device.type == "cuda":
        return words | {"gpu": torch.cuda.get_device_name(device), "cuda": f"CUDA {torch.version.cuda}"}
    return words | ({"gpu": "Apple GPU"} if device.type == "mps" else {"threads": str(torch.get_num_threads())})


class Utilisation:
    """Measures inside `with`, five times a second with nvidia-smi, the share of time in which an NVIDIA GPU is busy."""

    def __init__(self, device: torch.device):
        self.command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        self.wanted = device.type == "cuda"
        if self.wanted:
            uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)  # since PyTorch 2.5
            self.command += [f"--id=GPU-{uuid}"] if uuid else []
        self.process: subprocess.Popen[str] | None = None
        self.text = ""

    def __enter__(self) -> "Utilisation":
        if self.wanted:
            quiet = subprocess.DEVNULL
            try:
                self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=quiet, text=True)
            except FileNotFoundError:
                self.process = None
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            output: IO[str] | None = self.process.stdout
            self.text = output.read() if output else ""
            self.process.wait()

    def mean(self) -> float | None:
        """The mean utilisation in [0, 1]; None without a value: another device, no nvidia-smi, or too short a time."""
        seen = [int(line) / 100 for line in self.text.split() if line.isdigit()]
        return mean(seen) if seen else None

"""Measures a device alone in a separate process: its name, its software, and what it can do at best.

Job and answer are JSON on the standard streams. A job holds device, threads (0: PyTorch's choice), cache.
"""

import importlib.metadata
import platform

import torch

from ..distributed import own_device
from .device_speed import measure_device
from .gpu import describe_device
from .job import MeasurementJob, answer_job
from .machine import describe_code, describe_machine

_PACKAGES = ("torch", "triton", "timm", "numpy", "opencv-python", "opencv-python-headless", "easydict", "jpeg4py")
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def measure(job: MeasurementJob) -> MeasurementJob:
    """Names and versions; for each precision operations per second of a product, and bytes per second of a copy. On a
    GPU fp32 is without TF32, and "tf32" with it."""
    device = own_device(job["device"])
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    names = ("fp32", "bf16") if device.type == "cpu" else ("fp32", "tf32", "bf16", "fp16")
    speeds = {}
    for name in names:
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        speeds[name] = measure_device(device, _TYPES["fp32" if name == "tf32" else name])
    software = {name: _version(name) for name in _PACKAGES} | {"code": describe_code()}
    words = describe_device(device)
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        words |= {"memory_gib": f"{facts.total_memory / 2**30:.0f}", "capability": f"{facts.major}.{facts.minor}"}
        words |= {"multiprocessors": str(facts.multi_processor_count), "cudnn": str(torch.backends.cudnn.version())}
        software["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    machine = describe_machine() | {"kernel": platform.release()}
    return {"device": words, "machine": machine, "software": software, "speeds": speeds}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    answer_job(measure)

"""Curves and pictures of a run for TensorBoard and, as options, Weights & Biases and a visdom server."""

import importlib
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from easydict import EasyDict
from torch.utils.tensorboard import SummaryWriter

from ..core.atomic import write_atomically
from ..core.config import flatten
from ..core.errors import InputError
from ..core.visdom import Visdom


class RunLog(Protocol):
    """What the trainer logs to. The methods are those of TensorBoard's SummaryWriter."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """One value of a curve."""

    def add_image(self, name: str, image: np.ndarray, step: int, *, dataformats: str) -> None:
        """image: [H, W, 3] uint8 RGB with dataformats "HWC"."""

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """values: of any shape."""

    def flush(self) -> None:
        """Everything of a step has been added."""

    def close(self) -> None:
        """The run is over."""


class WandbLog:
    """Logs the same scalars and pictures under the same names to a project of Weights & Biases.

    A resumed run is resumed there too: its identifier is kept in the folder of the checkpoints.
    """

    def __init__(self, cfg: EasyDict, *, project: str, name: str, folder: Path):
        """folder: of the checkpoints. Raises InputError where wandb is missing or cannot begin a run."""
        check_wandb(project)
        self.wandb = importlib.import_module("wandb")
        kept = folder / "wandb.txt"
        number = kept.read_text(encoding="utf-8").strip() if kept.is_file() else None
        known: dict[str, Any] = {"project": project, "name": name, "dir": str(folder), "config": flatten(cfg)}
        try:
            self.run = self.wandb.init(**known, id=number, resume="allow")
        except Exception as error:  # wandb's own classes, which can only be imported where it is installed
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise InputError(f"--wandb {project}: {reason}") from None
        if number is None:
            with write_atomically(kept) as temporary:
                temporary.write_text(f"{self.run.id}\n", encoding="utf-8")
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")  # its own counter cannot go back, which a resumed run needs
        self.values: dict[str, Any] = {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Keep a value until the step is complete."""
        self.values |= {"step": step, name: value}

    def add_image(self, name: str, image: np.ndarray, step: int, *, dataformats: str) -> None:
        """Keep a picture until the step is complete."""
        self.values |= {"step": step, name: self.wandb.Image(image)}

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """Keep a histogram until the step is complete."""
        self.values |= {"step": step, name: self.wandb.Histogram(values.ravel())}

    def flush(self) -> None:
        """Send the step."""
        if self.values:
            self.run.log(self.values)
        self.values = {}

    def close(self) -> None:
        """Send the rest, and mark the run as finished."""
        self.flush()
        self.run.finish()


class VisdomLog:
    """Shows the same scalars and pictures on a visdom server: one window for each figure, with a curve for each stage
    and, of figures that are numbered, for each number. A resumed run goes on in its windows."""

    def __init__(self, address: str, name: str):
        """address: HOST:PORT; name: of the run. Raises InputError for an address that is none."""
        self.windows = Visdom(address, name)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add a point: `train/lr_0` to the curve `train 0` of the window `lr`."""
        stage, _, figure = name.rpartition("/")
        parts = re.fullmatch(r"(.+?)(?:_(\d+))?", figure)
        window, number = parts.groups() if parts else (figure, None)
        self.windows.add_point(window, " ".join(filter(None, (stage, number))), step, value)

    def add_image(self, name: str, image: np.ndarray, step: int, *, dataformats: str) -> None:
        """Show a picture in place of the last one."""
        self.windows.show_image(name, lambda: image, f"step {step}")

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """Show a histogram in place of the last one."""
        self.windows.show_histogram(name, values, f"step {step}")

    def flush(self) -> None:
        """Nothing waits for the end of a step."""

    def close(self) -> None:
        """Send the rest, for a few seconds at most."""
        self.windows.close()


class RunLogs:
    """Several logs that get the same values."""

    def __init__(self, logs: Sequence[RunLog]):
        self.logs = logs

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add a scalar to each log."""
        for log in self.logs:
            log.add_scalar(name, value, step)

    def add_image(self, name: str, image: np.ndarray, step: int, *, dataformats: str) -> None:
        """Add a picture to each log."""
        for log in self.logs:
            log.add_image(name, image, step, dataformats=dataformats)

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """Add a histogram to each log."""
        for log in self.logs:
            log.add_histogram(name, values, step)

    def flush(self) -> None:
        """Flush each log."""
        for log in self.logs:
            log.flush()

    def close(self) -> None:
        """Close each log."""
        for log in self.logs:
            log.close()


def check_wandb(project: str) -> None:
    """Raise InputError where a project of Weights & Biases is given and wandb is not installed."""
    if project and importlib.util.find_spec("wandb") is None:
        raise InputError(
            f"--wandb {project}: wandb is not installed; pip install wandb (the extra [wandb]), or leave --wandb out"
        )


def open_run_log(cfg: EasyDict, curves: Path, checkpoints: Path, *, wandb: str = "", visdom: str = "") -> RunLog:
    """TensorBoard in the folder `curves`. wandb: a project of Weights & Biases to log to as well; visdom: HOST:PORT of
    a server to show the same on."""
    logs: list[RunLog] = [SummaryWriter(str(curves))]
    name = "-".join(checkpoints.parts[-2:])
    if wandb:
        logs.append(WandbLog(cfg, project=wandb, name=name, folder=checkpoints))
    if visdom:
        logs.append(VisdomLog(visdom, f"{name}-train"))
    return RunLogs(logs)

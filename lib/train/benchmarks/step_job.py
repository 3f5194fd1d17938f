"""Training steps of one network in their own process, so that time and memory are measured separately.

Job and answer are JSON on the standard streams. Every step learns from the same batch of the synthetic set.

A job holds script, config, set, set_where_known (like set, of keys that a configuration may lack), batch, steps,
device, threads (0: PyTorch's choice), cache.
"""

import time
from pathlib import Path

import torch

from ...core.config import flatten, load_config
from ...core.distributed import own_device
from ...core.measure.gpu import Utilisation, describe_device
from ...core.measure.job import MeasurementJob, answer_job
from ...core.measure.peak_memory import peak_memory
from ...models import build_model
from ...models.training import TrainBatch
from ..run import build_loaders, build_trainer, seed_everything
from ..skip import Skips
from ..trainer import Trainer


def time_steps(job: MeasurementJob) -> MeasurementJob:
    """Seconds of the first step, which compiles, and of each later one; memory before, and its peak. On a CPU also core
    time, which other programs hardly change."""
    device = own_device(job["device"])
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    data = ["DATA.TRAIN.DATASETS_NAME=[synthetic_train]", "DATA.TRAIN.DATASETS_RATIO=[1]",
            f"DATA.TRAIN.SAMPLE_PER_EPOCH={job['batch']}", f"TRAIN.BATCH_SIZE={job['batch']}",
            "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]", "TRAIN.NUM_WORKER=0"]  # fmt: skip
    known = flatten(load_config(job["script"], job["config"]))
    optional = ["DATA.TRAIN.MAX_INTERVALS=[]", *job.get("set_where_known", [])]  # a value for each data set
    optional = [change for change in optional if change.partition("=")[0] in known]
    cfg = load_config(job["script"], job["config"], [*optional, *data, *job["set"]])
    before = peak_memory()
    seed_everything(cfg.TRAIN.SEED)
    model = build_model(cfg).to(device)
    trainer = build_trainer(cfg, model, build_loaders(cfg, {"photos_dir": ""}), Path(), device=device)
    trainer.step.train()
    batch, skips = next(iter(trainer.train_loader)).batch, Skips(0.0, 1)
    first, _ = _step(trainer, batch, skips)
    with Utilisation(device) as utilisation:
        seconds, core = zip(*(_step(trainer, batch, skips) for _ in range(job["steps"])), strict=True)
    answer = {"first_s": first, "step_s": list(seconds), "before_mib": before, "peak_mib": peak_memory()}
    answer |= {"core_s": list(core)} if device.type == "cpu" else {}
    answer["device"] = describe_device(device)
    if device.type == "cuda":
        answer["gpu_peak_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
        answer["gpu_utilisation"] = utilisation.mean()
    return answer


def _step(trainer: Trainer, batch: TrainBatch, skips: Skips) -> tuple[float, float]:
    """Seconds of one step, from the batch in memory to the new weights: elapsed time and core time."""
    begin, begin_core = time.perf_counter(), time.process_time()
    trainer.gather_gradients(trainer.to_device(batch), complete=True)
    trainer.update_weights(skips)
    if trainer.device.type != "cpu":
        getattr(torch, trainer.device.type).synchronize()
    return time.perf_counter() - begin, time.process_time() - begin_core


if __name__ == "__main__":
    answer_job(time_steps)

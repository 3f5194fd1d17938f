"""Compares the public IIMF code with this network, in a separate process: outputs and latency with the same weights.

Job and answer are JSON on the standard streams. A job holds script, config, set, reference (a clone of the public
code), folder (for what the clone's side writes), passes, device, threads, cache.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np
import torch

from ...core.checkpoint import load_weights
from ...core.config import load_config
from ...core.distributed import own_device
from ...core.errors import InputError
from ...core.measure.device_speed import seconds_of
from ...core.measure.job import MeasurementJob, answer_job
from ...models import build_model
from ...models.weights import load_state

_SIDE = Path(__file__).with_name("reference_side.py")


def measure(job: MeasurementJob) -> MeasurementJob:
    """Median seconds of both, fp32, batch 1, template included as in the public code; the largest differences of boxes
    (in units of the search region) and of scores."""
    device, folder = own_device(job["device"]), Path(job["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    passes = [str(job["passes"])]
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not Path(path, "lib").is_dir()]
    command = [sys.executable, str(_SIDE), job["reference"], job["config"], str(folder), str(device), *passes]
    done = subprocess.run(
        command, env={**own, "PYTHONPATH": os.pathsep.join([job["reference"], *paths])}, stdout=sys.stderr
    )
    if done.returncode:
        raise InputError(
            f"{job['reference']}: the public code ended with status {done.returncode}; see the lines above"
        )
    network = build_model(load_config(job["script"], job["config"], job["set"]))
    load_state(network, load_weights(folder / "weights.pth"), str(folder / "weights.pth"))
    network.to(device).eval()
    images = []
    for number, side in enumerate((128, 256)):
        values = np.random.default_rng(number).standard_normal((2, 1, 3, side, side)).astype(np.float32)
        images.append(torch.from_numpy(values).transpose(0, 1).to(device))
    template, search = images
    seconds = [
        seconds_of(lambda: network(network.embed(template), search), device)[0] for _ in range(job["passes"] + 3)
    ]
    with torch.inference_mode():
        memory = network.embed(template)
        found = network(memory, search)
    tracking = [seconds_of(lambda: network(memory, search), device)[0] for _ in range(job["passes"])]
    outputs = np.load(folder / "outputs.npz")
    answer = {"reference_s": median(json.loads((folder / "seconds.json").read_text()))}
    answer |= {"own_s": median(seconds[3:]), "own_without_template_s": median(tracking)}
    for name, values in (("pred_boxes", found.boxes[:, None]), ("score_map", found.score_map)):
        answer[name] = float(np.abs(values.float().cpu().numpy() - outputs[name]).max())
    return answer


if __name__ == "__main__":
    answer_job(measure)

"""The public IIMF code in its own process: random weights, outputs and seconds. It imports nothing of this toolbox.

    PYTHONPATH=CLONE python reference_side.py CLONE CONFIG FOLDER DEVICE PASSES

Expects what TBSI's and IIMF's public code have in common: `lib.config.tbsi_track.config` with `cfg` and
`update_config_from_file`, `lib.models.tbsi_track.build_tbsi_track(cfg, training=False)`, a network that takes lists of
two images as `template` and `search`, and `experiments/tbsi_track/CONFIG.yaml`. Writes weights.pth, outputs.npz and
seconds.json into FOLDER. Every value of the weights is drawn by its name.
"""

import importlib
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch


def main(clone: str, config: str, folder: str, device: str, passes: str) -> None:
    """Build, run, write."""
    settings = importlib.import_module("lib.config.tbsi_track.config")
    settings.update_config_from_file(str(Path(clone, "experiments", "tbsi_track", f"{config}.yaml")))
    network = importlib.import_module("lib.models.tbsi_track").build_tbsi_track(settings.cfg, training=False)
    weights = {key: draw(key, value) for key, value in network.state_dict().items()}
    network.load_state_dict(weights)
    torch.save({"net": weights}, Path(folder, "weights.pth"))
    network.to(device).eval()
    images = {}
    for number, (name, side) in enumerate((("template", 128), ("search", 256))):
        values = np.random.default_rng(number).standard_normal((2, 1, 3, side, side)).astype(np.float32)
        images[name] = list(torch.from_numpy(values).to(device))
    seconds = []
    with torch.no_grad():
        for _ in range(int(passes) + 3):
            begin = time.perf_counter()
            found = network(**images)
            if device != "cpu":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begin)
    found = found[-1] if isinstance(found, list) else found
    kept = {key: found[key].float().cpu().numpy() for key in ("pred_boxes", "score_map") if key in found}
    np.savez(Path(folder, "outputs.npz"), **kept)
    Path(folder, "seconds.json").write_text(json.dumps(seconds[3:]))


def draw(key: str, value: torch.Tensor) -> torch.Tensor:
    """A parameter's or buffer's value by its name."""
    if not value.is_floating_point():
        return torch.zeros_like(value)
    n: Any = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(value.shape)).astype(np.float32)
    is_gain = n.ndim == 1 and key.endswith("weight")
    n = 1 + 0.1 * np.abs(n) if key.endswith("running_var") else 0.02 * n + float(is_gain)
    return torch.from_numpy(np.asarray(n, np.float32))


if __name__ == "__main__":
    main(*sys.argv[1:])

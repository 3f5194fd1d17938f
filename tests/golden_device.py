"""The public models' numbers on any device: how far outputs are from the golden files. `benchmark gpu` runs it.

    echo '{"case": "iimf_sot", "device": "cuda", "golden": "", "cache": "/tmp"}' |
        PYTHONPATH=. python tests/golden_device.py

Differences are in units of what the tests of the same numbers allow on a CPU; up to 1 is right. Convolutions and
products are computed without TF32; on a GPU once more as PyTorch does by default, with TF32 in convolutions.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lib.core.distributed import own_device
from lib.core.measure.gpu import describe_device
from lib.core.measure.job import MeasurementJob, answer_job

ROOT = Path(__file__).resolve().parents[1]
Numbers = Iterator[tuple[str, float]]


def one_stream(name: str, device: torch.device) -> Numbers:
    """OSTrack, TBSI, IIMF: relative to 1e-4 of the largest value."""
    import golden

    model, _ = golden.public_model(name)
    model.to(device)
    template, search = (image.to(device) for image in golden.inputs(model.modalities))
    prediction = model(model.embed(template), search)
    outputs = {**prediction._asdict(), "pred_boxes": prediction.boxes[:, None]}
    for key, facts in golden.read(name)["outputs"].items():
        if key in outputs:
            found = outputs[key].flatten()[torch.tensor(facts["index"])].double().cpu().numpy()
            value = np.array(facts["value"])
            yield key, float(np.abs(found - value).max() / (1e-4 * np.abs(value).max()))


def siamrpn(network: str, device: torch.device) -> Numbers:
    """DaSiamRPN's published networks, likewise."""
    import golden_siamrpn as golden

    expected, model = golden.read("networks")[network], golden.original_model(network).to(device)
    memory = model.embed(golden.image(1, 127).to(device))
    for size in (255, 271, 287):
        prediction, maps = model(memory, golden.image(2, size).to(device)), expected[f"search{size}"]
        for key, tensor in (("cls", prediction.logits), ("reg", prediction.deltas)):
            flat, facts = tensor.double().flatten().cpu(), maps[key]
            gap = (flat[facts["idx"]] - torch.tensor(facts["values"], dtype=torch.float64)).abs().max().item()
            yield f"{key} {size}", gap / (1e-4 * max(abs(facts["min"]), abs(facts["max"])))


def siamdma(name: str, device: torch.device) -> Numbers:
    """SiamDMA, in units of its files' tolerance."""
    import golden_siamdma as golden

    model, stages = golden.author_model().to(device), golden.read("siamdma")["stages"]
    template, search = (image.to(device) for image in golden.inputs())
    found = model(model.embed(template), search)
    outputs = {"head.cls": found.logits, "head.loc": found.distances, "aux_v.logits": found.stream_logits[:, 0]}
    for key, tensor in {**outputs, "padding_conv.mask_i": found.masks[:, 1]}.items():
        yield key, golden.worst(tensor.cpu(), stages[key])


def siamrpnpp(name: str, device: torch.device) -> Numbers:
    """SiamRPN++ of pysot, likewise."""
    import golden_discriminative
    import golden_pysot as golden

    model = golden.public_model(name).to(device)
    template, search = (image.to(device) for image in golden.inputs(name))
    found, stages = model(model.embed(template), search), golden.read(name)["stages"]
    for key, tensor in (("head.cls", found.logits), ("head.loc", found.deltas)):
        yield key, golden_discriminative.worst(tensor.flatten(1, 2).cpu(), stages[key])


def alpha_refine(case: str, device: torch.device) -> Numbers:
    """Alpha-Refine: 1e-4 of a value, and its files' tolerance."""
    import golden_alpha_refine as golden

    model, stages = golden.public_model(case).to(device), golden.STAGES["cases"][case]["stages"]
    template, search = (image.to(device) for image in golden.inputs(case))
    found = model(model.embed(template), search)
    outputs = {"fusion_feat": found.features, "corner": found.corners, "mask_logit": found.mask}
    for key, tensor in outputs.items():
        value, facts = golden.samples(tensor.cpu().numpy()), stages[key]
        wanted = np.array(facts["samples"])
        allowed = max(20 * facts["fp64_max_abs_diff"], 1e-6) + 1e-4 * np.abs(wanted)
        yield key, float((np.abs(value - wanted) / allowed).max())


def fear(name: str, device: torch.device) -> Numbers:
    """FEAR-XS with its published weights: 1e-4 of the deviation, boxes 2e-3 pixels."""
    from golden_fear import pixels, read

    from lib.core.checkpoint import load_weights
    from lib.core.config import load_config
    from lib.models import build_model
    from lib.models.weights import load_state

    known = read()
    model = build_model(load_config("fear", "xs"))
    load_state(model, load_weights(ROOT / "pretrained_models" / "fear_xs.safetensors"), "fear_xs")
    model.to(device).eval()
    images = [pixels(known[f"{what}_seed"], side).to(device) for what, side in (("template", 128), ("search", 256))]
    template, search = map(model.normalize, images)
    memory = model.embed(template)
    maps = model(memory, search)
    for key, tensor in (("template_features", memory.features), ("bbox", maps.distances), ("cls", maps.logits)):
        facts, flat = known["stages"][key], tensor.double().flatten().cpu()
        places = np.linspace(0, len(flat) - 1, len(facts["samples"])).astype(int)
        gap = np.abs(flat.numpy()[places] - np.array(facts["samples"])).max()
        yield key, float(gap / (2e-3 if key == "bbox" else 1e-4 * facts["std"]))


def base_tracker(name: str, device: torch.device) -> Numbers:
    """The trackers that learn online, and SiamMask: every stage of their files, in units of the files' tolerance."""
    import golden_stages
    import golden_stages_online as online
    from golden_discriminative import worst

    parts = [{**golden_stages.STAGES, **online.STAGES}[name], *online.FURTHER.get(name, ())]
    for part in parts:
        for stage, tensor, record in part(device):
            yield stage, worst(tensor, record)


#: Case -> how it is compared, and the golden file or network
CASES: dict[str, tuple[Callable[[str, torch.device], Numbers], str]] = {
    **{name: (one_stream, name) for name in ("iimf_sot", "iimf_in1k", "tbsi_in1k", "ostrack", "ostrack_ce")},
    "siamrpn_vot": (siamrpn, "SiamRPNvot"),
    "siamrpn_big": (siamrpn, "SiamRPNBIG"),
    "siamdma": (siamdma, "siamdma"),
    "siamrpnpp_r50": (siamrpnpp, "siamrpn_r50_l234_dwxcorr"),
    "siamrpnpp_alex": (siamrpnpp, "siamrpn_alex_dwxcorr"),
    "alpha_refine": (alpha_refine, "w02_noise"),
    "fear_xs": (fear, "fear_xs"),
    **{name: (base_tracker, name) for name in ("superdimp", "dimp50", "prdimp50", "atom", "rt_mdnet", "eco")},
    "siammask": (base_tracker, "siammask_r50_l3"),
}


@torch.no_grad()  # not inference_mode: boxes climb by gradients
def measure(job: MeasurementJob) -> MeasurementJob:
    """The largest deviation, where it is, and all of them."""
    if job["golden"]:
        os.environ["RGBT_GOLDEN"] = job["golden"]  # read when the recipes are imported
    device = own_device(job["device"])
    compare, name = CASES[job["case"]]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    found = dict(compare(name, device))
    answer: dict[str, Any] = {"all": found, "worst": max(found.values()), "at": max(found, key=lambda key: found[key])}
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = True
        answer["tf32"] = max(value for _, value in compare(name, device))
    return answer | {"device": describe_device(device)}


if __name__ == "__main__":
    answer_job(measure)

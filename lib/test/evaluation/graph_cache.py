"""The graphs of a network for ONNX Runtime: beside its weights, in the user's cache folder, or made now and kept there.

Making them takes from seconds to minutes and is done once for each content of the weights file, configuration and state
of the code.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from easydict import EasyDict

from ...core.atomic import scratch_folder
from ...core.bounded import parse_json
from ...core.config import flatten
from ...core.errors import InputError
from ...core.onnx_file import PACKAGES, RUNTIME, OnnxFile, check_packages, usable_threads
from ...core.paths import PACKAGE, cache_folder
from ...models import build_method, build_model
from ...models.base import Network
from ..export.check import write_checked
from ..export.graphs import META, graph_files
from ..tracker.onnx_pass import OnnxPass

log = logging.getLogger(__name__)

#: Largest difference of a box to the network's, in units of the search region's side; measured ones are about 1e-7.
BOX_TOLERANCE = 1e-5
#: What a network computes is written in these folders.
_CODE = ("layers", "models", "test/export")


def open_graphs(
    cfg: EasyDict, weights: str, load: Callable[[], Network], *, beside: Path | None = None, folder: Path | None = None
) -> OnnxPass:
    """The forward passes of a configuration's network by ONNX Runtime.

    weights: what identifies the weights, such as `record.digest`; load: gives the network, where graphs must be made;
    beside: the file of the weights, beside which `<name>_template.onnx` and `<name>_search.onnx` are looked for;
    folder: where made graphs are kept (default: the user's cache folder). Raises InputError for missing packages and
    for networks that cannot be exported.
    """
    check_packages(RUNTIME)
    source = describe_source(cfg, weights)
    with torch.device("meta"):
        method = build_method(build_model(cfg).eval(), cfg)

    threads = usable_threads()  # now: graphs of a variant are opened while PyTorch uses one

    def made(variant: str) -> dict[str, OnnxFile]:
        about = source | ({"variant": variant} if variant else {})
        kept = (folder or _default_folder()) / f"{cfg.MODEL.NAME}_{_digest(about | {'code': _digest_code()})}"
        if not kept.is_dir():
            _make(cfg, load, kept, about)
        return {name: OnnxFile(path, threads) for name, path in graph_files(kept).items()}

    def open_variant(name: str) -> OnnxPass:
        opened = made(name)
        return OnnxPass(method, opened["template"], opened["search"])

    opened = (_open_shipped(beside, source) if beside else None) or made("")
    return OnnxPass(method, opened["template"], opened["search"], open_variant)


def describe_source(cfg: EasyDict, weights: str) -> dict[str, str]:
    """What graphs are made from, for their metadata: the weights, everything of the configuration but the training and
    the name of a refiner, which has graphs of its own."""
    keys = {key: value for key, value in flatten(cfg).items() if not key.startswith("TRAIN.") and key != "TEST.REFINER"}
    return {"weights": weights, "configuration": _digest(keys), "precision": "fp32"}


def _open_shipped(weights: Path, source: dict[str, str]) -> dict[str, OnnxFile] | None:
    """The graphs beside a file of weights; None where there are none, or where they were made from something else."""
    files = graph_files(weights.parent, f"{weights.stem}_")
    if not all(path.is_file() for path in files.values()):
        return None
    opened = {name: OnnxFile(path) for name, path in files.items()}
    return opened if all(_made_from(file) == source for file in opened.values()) else None


def _made_from(file: OnnxFile) -> Any:
    try:
        about = parse_json(file.metadata.get(META, "{}"))
    except ValueError:
        return None
    return about.get("source") if isinstance(about, dict) else None


def _make(cfg: EasyDict, load: Callable[[], Network], folder: Path, source: dict[str, str]) -> None:
    """Write the graphs into a new folder, which appears when they are complete and agree with the network."""
    check_packages(PACKAGES)
    method = build_method(load().eval(), cfg)
    variant = source.get("variant", "")
    method = method.make_variant(variant) if variant else method
    method.graph_settings()  # refuses before anything is said or written
    alone = f" ({variant} alone)" if variant else ""
    log.info("making graphs of %s%s for ONNX Runtime, once; kept in %s", cfg.MODEL.NAME, alone, folder)
    try:
        with scratch_folder(folder) as made:
            write_checked(method, graph_files(made), box_tolerance=BOX_TOLERANCE, source=source)
            _publish(made, folder)
    except OSError as error:
        reason = f"{folder}: graphs cannot be kept there ({error.strerror or error})"
        raise InputError(f"{reason}; set RGBT_CACHE to a folder that can be written") from None


def _publish(made: Path, folder: Path) -> None:
    """Rename a complete folder, unless another process was faster."""
    try:
        os.rename(made, folder)
    except OSError:
        if not folder.is_dir():
            raise


def _default_folder() -> Path:
    try:
        return cache_folder() / "graphs"
    except RuntimeError:
        raise InputError("no home folder to keep graphs for ONNX Runtime in; set RGBT_CACHE to a folder") from None


def _digest_code() -> str:
    files = sorted(path for part in _CODE for path in (PACKAGE / part).glob("*.py"))
    return _digest([path.read_text(encoding="utf-8") for path in files])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

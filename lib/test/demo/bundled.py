"""The bundled models and the bundled sequence. The demos use the first model unless another one is named."""

from dataclasses import dataclass
from pathlib import Path

from ...core.config import EXPERIMENTS
from ...core.paths import ROOT
from ...core.registry import choose

TRACKER, CONFIG = "iimf_lite", "xs"
CHECKPOINT = ROOT / "pretrained_models" / "iimf_lite_xs.safetensors"
DEMO_SEQUENCE = ROOT / "docs" / "demo_sequence"
LOST_BELOW = 0.3  # targets with a lower score are shown as lost


@dataclass(frozen=True)
class BundledModel:
    """A tracker whose weights are in pretrained_models/."""

    tracker: str
    config: str
    checkpoint: Path


def bundled_models() -> dict[str, BundledModel]:
    """All bundled models that a configuration exists for, by name; IIMF lite comes first."""
    models = {f"{TRACKER} {CONFIG}": BundledModel(TRACKER, CONFIG, CHECKPOINT)}
    for defaults in sorted(EXPERIMENTS.glob("*/defaults.yaml")):
        name = defaults.parent.name
        prefix = name.removesuffix("_track") + "_"
        for path in sorted((ROOT / "pretrained_models").glob(f"{prefix}*.safetensors")):
            config = path.stem.removeprefix(prefix)
            if (defaults.parent / f"{config}.yaml").is_file():
                models.setdefault(f"{name} {config}", BundledModel(name, config, path))
    return models


def choose_bundled(name: str) -> BundledModel:
    """A bundled model by its tracker, such as "iimf_lite" or "fear", or by its configuration, such as "tiny". Where
    several have a name, the first one is meant. Raises InputError, with the nearest name, for another."""
    models: dict[str, BundledModel] = {}
    for model in bundled_models().values():
        models.setdefault(model.tracker, model)
        models.setdefault(model.config, model)
    return models[choose("model", name, models)]

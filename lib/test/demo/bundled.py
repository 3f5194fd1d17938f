"""The bundled models and the bundled sequence. The demos use the first model unless another one is named."""

from dataclasses import dataclass
from pathlib import Path

from ...core.config import EXPERIMENTS
from ...core.paths import ROOT
from ...core.registry import choose

TRACKER, CONFIG = "iimf_track", "tiny"
CHECKPOINT = ROOT / "pretrained_models" / "iimf_tiny.safetensors"
DEMO_SEQUENCE = ROOT / "docs" / "demo_sequence"
LOST_BELOW = 0.3  # targets with a lower score are shown as lost


@dataclass(frozen=True)
class BundledModel:
    """A tracker whose weights are in pretrained_models/."""

    tracker: str
    config: str
    checkpoint: Path


def bundled_models() -> dict[str, BundledModel]:
    """All bundled models that a configuration exists for, by name; IIMF tiny comes first."""
    models = {f"{TRACKER} {CONFIG}": BundledModel(TRACKER, CONFIG, CHECKPOINT)}
    for defaults in sorted(EXPERIMENTS.glob("*/defaults.yaml")):
        name = defaults.parent.name
        prefix = name.removesuffix("_track") + "_"
        for path in sorted((ROOT / "pretrained_models").glob(f"{prefix}*.safetensors")):
            config = path.stem.removeprefix(prefix)
            if (defaults.parent / f"{config}.yaml").is_file():
                models.setdefault(f"{name} {config}", BundledModel(name, config, path))
    return models


def choose_bundled(config: str) -> BundledModel:
    """The bundled model of a configuration, such as "tiny". Raises InputError, with the nearest name, for another."""
    models = {model.config: model for model in reversed(bundled_models().values())}
    return models[choose("model", config, models)]

"""The models that come with the toolbox; the first one is what the demos take when none is named."""

from dataclasses import dataclass
from pathlib import Path

from ...core.config import EXPERIMENTS
from ...core.paths import ROOT
from ...core.registry import choose

TRACKER, CONFIG = "iimf_track", "tiny"
CHECKPOINT = ROOT / "pretrained_models" / "iimf_tiny.safetensors"
DEMO_SEQUENCE = ROOT / "docs" / "demo_sequence"
LOST_BELOW = 0.3  # score under which its target is shown as lost


@dataclass(frozen=True)
class Model:
    """A tracker that can be chosen."""

    tracker: str
    config: str
    checkpoint: Path


def shipped_models() -> dict[str, Model]:
    """What pretrained_models/ holds for a configuration here, by name, the toolbox's own model first."""
    models = {f"{TRACKER} {CONFIG}": Model(TRACKER, CONFIG, CHECKPOINT)}
    for defaults in sorted(EXPERIMENTS.glob("*/defaults.yaml")):
        name = defaults.parent.name
        prefix = name.removesuffix("_track") + "_"
        for path in sorted((ROOT / "pretrained_models").glob(f"{prefix}*.safetensors")):
            config = path.stem.removeprefix(prefix)
            if (defaults.parent / f"{config}.yaml").is_file():
                models.setdefault(f"{name} {config}", Model(name, config, path))
    return models


def choose_shipped(config: str) -> Model:
    """The model of that configuration, for example "tiny". Raises InputError with the nearest name."""
    models = {model.config: model for model in reversed(shipped_models().values())}
    return models[choose("model", config, models)]

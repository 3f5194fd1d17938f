"""The model that comes with the toolbox: what the demos take when none is named. Changed here alone."""

from ...core.paths import ROOT

TRACKER, CONFIG = "iimf_track", "tiny"
CHECKPOINT = ROOT / "pretrained_models" / "iimf_tiny.safetensors"
DEMO_SEQUENCE = ROOT / "docs" / "demo_sequence"
LOST_BELOW = 0.3  # score under which its target is shown as lost

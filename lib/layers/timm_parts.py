"""The parts of timm that networks use.

Every import of timm goes through this file: torchvision's operators are declared first, and only trackers with a ViT
wait for it, which takes more than a second.
"""

# ruff: noqa: E402
from .torchvision import declare_missing_operators

declare_missing_operators()

import timm
from timm.layers import DropPath, Mlp, PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer

__all__ = ["Block", "DropPath", "Mlp", "PatchEmbed", "VisionTransformer", "timm"]

"""From two frames to a template and a search region that keep no aspect ratio (FEAR, ECCV 2022)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from easydict import EasyDict

from .context import ContextCrops, ContextRecipe


@dataclass(frozen=True)
class StretchedCrops(ContextCrops):
    """As `ContextCrops`, but a crop is `factor` times as wide and as high as the box: each direction has its scale."""

    template_factor: float = 1.4
    search_factor: float = 5.0

    corner_bias: ClassVar[float] = 0.0  # these views are centred on whole pixels

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "StretchedCrops":
        """From DATA."""
        template, search = cfg.DATA.TEMPLATE, cfg.DATA.SEARCH
        recipes = ContextRecipe.from_config(template), ContextRecipe.from_config(search)
        return cls(0.0, *recipes, cfg.DATA.GREY, cfg.DATA.FLIP, template.FACTOR, search.FACTOR)

    def _scale(self, box: np.ndarray, recipe: ContextRecipe) -> np.ndarray:
        factor = self.template_factor if recipe is self.template else self.search_factor
        return recipe.size / (box[2:] * factor)

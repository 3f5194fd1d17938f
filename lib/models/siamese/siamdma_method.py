"""How SiamDMA tracks: crops with context, the best cell, a smoothed size; the infrared crop has a centre of its
own."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from easydict import EasyDict

from ...core.frame import Frame, Streams
from ...core.target import Target
from ...core.view import View, mean_colour
from .method import PysotMethod

if TYPE_CHECKING:
    from .siamdma import SiamDMA


class SiamDMAMethod(PysotMethod):
    """Takes the cell with the highest rank and smooths the box's size. The template may be blended with later ones."""

    network: "SiamDMA"

    def __init__(self, network: "SiamDMA", test: EasyDict):
        """Raises InputError for search regions without a middle cell."""
        super().__init__(network, test)
        self.own_centre: bool = test.IR_INIT == "own"

    @property
    def streams(self) -> Streams:
        """With TEST.IR_INIT `own` the infrared image has a first box of its own, where the data set has one."""
        return super().streams._replace(own_boxes=self.own_centre)

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """As other methods' with crops of context; the padding has the mean colour of the frame itself."""
        fill = np.concatenate([mean_colour(image) for image in frame.images])
        return [replace(view, fill=fill) for view in super().update_views(target, frame)]

    def merge_memory(self, memory: Any, fresh: Any) -> Any:
        """Blends the features of the old and the new template, and looks at the result anew."""
        return self.network.remember(memory.features.lerp(fresh.features, self.update.SHARE))

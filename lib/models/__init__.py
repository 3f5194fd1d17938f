"""Networks by name. A tracker is added by one model file and one line here."""

from typing import TYPE_CHECKING

from easydict import EasyDict

from .. import layers  # noqa: F401  (makes timm importable before a model file asks for it)
from ..core.registry import choose, resolve

if TYPE_CHECKING:
    from .base import TrackerModel

__all__ = ["TRACKERS", "build_model"]

TRACKERS = {
    "ostrack": ".ostrack:OSTrack",
    "tbsi_track": ".tbsi_track:TBSITrack",
    "iimf_track": ".iimf_track:IIMFTrack",
    "siamrpn": ".siamrpn:SiamRPN",
    "dasiamrpn": ".dasiamrpn:DaSiamRPN",
}


def build_model(cfg: EasyDict) -> "TrackerModel":
    """The network of a configuration, on the CPU, with fresh weights, in training mode.

    Raises InputError when the configuration cannot be built (a backbone that timm does not know, blocks that do not
    exist).
    """
    name = choose("MODEL.NAME", cfg.MODEL.NAME, TRACKERS)
    return resolve(TRACKERS[name], __package__)(cfg)

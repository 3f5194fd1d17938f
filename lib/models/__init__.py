"""Networks by name. A tracker is added by one model file and one line here."""

from typing import TYPE_CHECKING

from easydict import EasyDict

from .. import layers  # noqa: F401  (makes timm importable before a model file asks for it)
from ..core.registry import choose, resolve

if TYPE_CHECKING:
    from .base import Network
    from .method import Method

__all__ = ["TRACKERS", "build_method", "build_model"]

TRACKERS = {
    "ostrack": ".ostrack:OSTrack",
    "tbsi_track": ".tbsi_track:TBSITrack",
    "iimf_track": ".iimf_track:IIMFTrack",
    "siamrpn": ".siamrpn:SiamRPN",
    "dasiamrpn": ".dasiamrpn:DaSiamRPN",
}


def build_model(cfg: EasyDict) -> "Network":
    """The network of a configuration, on the CPU, with fresh weights, in training mode.

    Raises InputError when the configuration cannot be built (a backbone that timm does not know, blocks that do not
    exist).
    """
    name = choose("MODEL.NAME", cfg.MODEL.NAME, TRACKERS)
    return resolve(TRACKERS[name], __package__)(cfg)


def build_method(network: "Network", cfg: EasyDict) -> "Method":
    """The method that tracks with a network by TEST of a configuration. Costs next to nothing: many may share one.

    Raises InputError for values of TEST that contradict each other.
    """
    return network.method_class(network, cfg.TEST)

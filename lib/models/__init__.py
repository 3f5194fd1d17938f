"""Networks by name. A tracker is added by one model file and one line here."""

from typing import TYPE_CHECKING

from easydict import EasyDict

from ..core.registry import choose, resolve

if TYPE_CHECKING:
    from .base import Network
    from .method import Method

__all__ = ["TRACKERS", "build_method", "build_model", "network_class"]

TRACKERS = {
    "ostrack": ".one_stream.ostrack:OSTrack",
    "tbsi_track": ".one_stream.tbsi_track:TBSITrack",
    "iimf_track": ".one_stream.iimf_track:IIMFTrack",
    "siamrpn": ".siamese.siamrpn:SiamRPN",
    "dasiamrpn": ".siamese.dasiamrpn:DaSiamRPN",
    "fear": ".fear.network:Fear",
    "iimf_lite": ".fear.iimf_lite:IIMFLite",
    "siamdma": ".siamese.siamdma:SiamDMA",
    "alpha_refine": ".alpha_refine.network:AlphaRefine",
    "siamrpnpp": ".siamese.siamrpnpp:SiamRPNPP",
    "rt_mdnet": ".online.rt_mdnet:RTMDNet",
    "dimp": ".discriminative.network:DiMP",
    "prdimp": ".discriminative.network:PrDiMP",
    "siammask": ".siamese.siammask:SiamMask",
    "eco": ".online.eco:ECO",
    "atom": ".discriminative.atom:Atom",
}


def network_class(cfg: EasyDict) -> "type[Network]":
    """The class of a configuration's network. It knows without weights, for example, its `modalities`.

    Raises InputError for a MODEL.NAME that is not in `TRACKERS`.
    """
    return resolve(TRACKERS[choose("MODEL.NAME", cfg.MODEL.NAME, TRACKERS)], __package__)


def build_model(cfg: EasyDict) -> "Network":
    """The network of a configuration, on the CPU, with fresh weights, in training mode.

    Raises InputError when the configuration cannot be built (a backbone that timm does not know, blocks that do not
    exist).
    """
    return network_class(cfg)(cfg)


def build_method(network: "Network", cfg: EasyDict) -> "Method":
    """The method that tracks with a network by the TEST part of a configuration. It is cheap: many methods may share
    one network.

    Raises InputError for values of TEST that contradict each other.
    """
    return network.method_class(network, cfg.TEST)

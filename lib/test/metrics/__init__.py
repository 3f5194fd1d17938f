"""Benchmark scores from arrays of boxes. A protocol holds the metrics of a benchmark and its rule for one video.

To add rules: a function for one video, a `Protocol` in `PROTOCOLS`, a line in `RULES`.
"""

from .long_term import OXUVA, VOT_LT, LongTermProtocol, LongTermScores
from .measure import matlab_range, overlap
from .protocol import GroundTruth, Metric, Protocol, Scores, match_rows, score
from .rgb import GOT10K, LASOT, LASOT_ALL, OTB, PLAIN, PLAIN_IOU, PYTRACKING, UAV
from .rgbt import GTOT, GTOT_ROUNDED, LASHER, RGBT210, RGBT234, RGBT234_ROUNDED, VTUAV

__all__ = [
    "GOT10K",
    "GTOT",
    "LASHER",
    "LASOT",
    "LASOT_ALL",
    "LongTermProtocol",
    "LongTermScores",
    "Metric",
    "OTB",
    "OXUVA",
    "PLAIN",
    "PLAIN_IOU",
    "PROTOCOLS",
    "PYTRACKING",
    "Protocol",
    "RGBT210",
    "RGBT234",
    "RULES",
    "Scores",
    "GroundTruth",
    "UAV",
    "VOT_LT",
    "VTUAV",
    "match_rows",
    "matlab_range",
    "overlap",
    "protocol_of",
    "score",
]

_RGBT = (LASHER, RGBT234, RGBT234_ROUNDED, RGBT210, GTOT, GTOT_ROUNDED, VTUAV)
_RGB = (PLAIN_IOU, OTB, LASOT, LASOT_ALL, PYTRACKING, UAV, GOT10K)
_LONG_TERM = (VOT_LT, OXUVA)
PROTOCOLS = {protocol.name: protocol for protocol in (PLAIN, *_RGBT, *_RGB, *_LONG_TERM)}

#: Beginning of a data set's name -> name of its protocol; the longest match counts.
RULES = {
    **{name: name for name in ("lasher", "rgbt234", "rgbt210", "gtot", "vtuav", "otb", "lasot", "uav", "got10k")},
    **dict.fromkeys(("nfs", "tnl2k"), "pytracking"),
    "tc128": "otb",
    "votlt": "vot_lt",
}


def protocol_of(dataset: str) -> Protocol:
    """The protocol of a data set by its name, such as LasHeR's for `LasHeR_test`; the plain one where it has none.

    >>> protocol_of("vtuav_st").name, protocol_of("folder").name
    ('vtuav', 'plain')
    """
    known = [prefix for prefix in RULES if dataset.lower().startswith(prefix)]
    return PROTOCOLS[RULES[max(known, key=len)]] if known else PLAIN

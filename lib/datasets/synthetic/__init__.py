"""Synthetic RGB-T sequences: endless, seeded, with exact boxes, rendered when asked for.

`stream_training` and `stream_validation` give sequences like any reader; `write_sequences` puts them on disk in
LasHeR's layout. Raw material is a folder of photographs, cut-outs and aligned stills, or nothing: then it is drawn.
"""

from .sheet import contact_sheet
from .stream import SyntheticFrames, stream, stream_training, stream_validation
from .writer import write_sequences

__all__ = ["SyntheticFrames", "contact_sheet", "stream", "stream_training", "stream_validation", "write_sequences"]

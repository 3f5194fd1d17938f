"""Synthetic RGB-T sequences: any number of them, seeded, with exact boxes, rendered on access.

`stream_training` and `stream_validation` return sequences as a reader does; `write_sequences` writes them in LasHeR's
layout. The raw material is a folder of photographs, cut-outs and aligned stills; without a folder it is drawn.
"""

from .sheet import contact_sheet
from .stream import SyntheticFrames, stream, stream_training, stream_validation
from .writer import write_sequences

__all__ = ["SyntheticFrames", "contact_sheet", "stream", "stream_training", "stream_validation", "write_sequences"]

"""Makes synthetic sequences as JPEG pairs, with boxes as large as LasHeR's, in a separate process.

Job and answer are JSON on the standard streams. A job holds folder, sequences, frames, width, height, cache. The folder
is complete when it exists; one that exists is kept.
"""

import os
import time
from pathlib import Path

from ...core.measure.job import MeasurementJob, answer_job
from .loading import make_pairs


def make(job: MeasurementJob) -> MeasurementJob:
    """Seconds, and the number of frames and bytes."""
    begin, folder = time.perf_counter(), Path(job["folder"])
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        size = job["width"], job["height"]
        make_pairs(unfinished, Path(), size, sequences=job["sequences"], frames=job["frames"])
        unfinished.replace(folder)
    images = list(folder.rglob("*.jpg"))
    facts = {"sequences": job["sequences"], "frames": len(images) // 2}
    return facts | {"mib": sum(path.stat().st_size for path in images) / 2**20, "seconds": time.perf_counter() - begin}


if __name__ == "__main__":
    answer_job(make)

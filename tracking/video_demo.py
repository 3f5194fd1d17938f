"""Track targets in a visible + infrared video and draw the result.

python tracking/video_demo.py --sequence docs/demo_sequence
python tracking/video_demo.py --visible walk.mp4 --infrared walk_ir.mp4 --box 120,80,40,60
python tracking/video_demo.py --visible walk.mp4 --infrared walk_ir.mp4 --register estimate --targets 2
python tracking/video_demo.py --side_by_side both.mp4 --order visible-right --boxes boxes.txt --heat
python tracking/video_demo.py --sequence docs/demo_sequence --refine alpha_refine/secm_r34
python tracking/video_demo.py --visible 0 --infrared rtsp://10.0.0.7/thermal --register homography.txt --window
python tracking/video_demo.py iimf_track tiny --visible DIR --checkpoint mine.pth.tar --out DIR
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.track import main
from lib.core.errors import run

if __name__ == "__main__":
    run(main)

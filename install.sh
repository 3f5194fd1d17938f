#!/usr/bin/env bash
# Install into .venv, and try it out. Can be repeated; needs no root.
#
#   bash install.sh         install only
#   bash install.sh demo    install, then track a visible + infrared sequence: video, contact sheet, scores
#   bash install.sh app     install with Gradio, then track in the browser
#   bash install.sh test    install, then run the tests
#
# PYTHON=python3.12 bash install.sh   uses another interpreter (3.10 to 3.13)
set -euo pipefail
cd "$(dirname "$0")"
mode="${1:-install}"
case "$mode" in install | demo | app | test) ;; *)
    echo "error: unknown mode '$mode'; use: bash install.sh [demo|app|test]" >&2
    exit 2
    ;;
esac

python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
    echo "error: $python is not Python 3.10 to 3.13; name one: PYTHON=python3.12 bash install.sh" >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    rm -rf .venv
    "$python" -m venv .venv || {
        rm -rf .venv
        echo "error: python cannot make environments; Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    }
fi

# Installed once per state of the files that say what to install.
stamp="$(cat pyproject.toml setup.py constraints.txt | cksum)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$stamp" ]; then
    echo "installing into .venv (a few minutes the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "torch" -c constraints.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]" -c constraints.txt
    echo "$stamp" >.venv/installed
fi

notice() { echo "notice: $1 is missing ($2); Debian and Ubuntu: apt-get install $3"; }
.venv/bin/python -c 'from jpeg4py._cffi import initialize; initialize()' 2>/dev/null ||
    notice libturbojpeg "JPEG files are read with OpenCV, at half the speed" libturbojpeg0
.venv/bin/python -c 'import cv2' 2>/dev/null ||
    notice "a library of OpenCV" "nothing runs without it" "libgl1 libglib2.0-0"

if [ ! -f lib/train/admin/local.py ] || [ ! -f lib/test/evaluation/local.py ]; then
    .venv/bin/python tracking/create_default_local_file.py --workspace_dir . --data_dir ../ --save_dir ./output
fi

case "$mode" in
demo)
    .venv/bin/python tracking/video_demo.py --sequence docs/demo_sequence --out output/demo
    ;;
app)
    .venv/bin/python -c 'import gradio' 2>/dev/null ||
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[app]" -c constraints.txt
    .venv/bin/python tracking/app.py
    ;;
test)
    # One thread each: networks this small gain nothing from more, and processes that share cores lose by it.
    OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n auto --maxprocesses 8 -m "not slow"
    ;;
*)
    echo "installed. Next: bash install.sh demo"
    ;;
esac

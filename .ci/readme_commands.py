"""Run the README's commands as they stand there, in their order, on tiny data.

Commands are the `python …`, `rgbt …` and `bash …` lines of the README's ```bash blocks. Two things differ from what a
user types: training is cut short and saved elsewhere, and a command that needs LasHeR must end in the line that says
where to set its folder.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHORT_TRAINING = [
    "TRAIN.EPOCH=1",
    "TRAIN.BATCH_SIZE=4",
    "TRAIN.NUM_WORKER=0",
    "DATA.TRAIN.SAMPLE_PER_EPOCH=8",
    "DATA.VAL.SAMPLE_PER_EPOCH=4",
]


def readme_commands() -> list[str]:
    """The commands of all ```bash blocks, continuation lines joined, options in square brackets left out."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith(("python ", "rgbt ", "bash "))]


def run_command(command: str, scratch: str) -> None:
    """Run one; anything but the expected outcome ends the script."""
    words = shlex.split(command)
    if words[0] in ("python", "rgbt"):
        words[0] = str(ROOT / ".venv" / "bin" / words[0])
    needs_lasher = "lasher" in command
    if words[1] in ("tracking/train.py", "train") and not needs_lasher:
        words += ["--save_dir", scratch, "--set", *SHORT_TRAINING]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
    output = (done.stdout + done.stderr).strip()
    expected = 1 if needs_lasher else 0
    named = not needs_lasher or "error: " in output.splitlines()[-1]
    print(f"{'ok' if done.returncode == expected and named else 'FAILED'}: {command}")
    if done.returncode != expected or not named:
        sys.exit(f"status {done.returncode}, expected {expected}\n{output[-3000:]}")


if __name__ == "__main__":
    found = readme_commands()
    if len(found) < 5:
        sys.exit(f"only {len(found)} commands found in README.md")
    with tempfile.TemporaryDirectory() as folder:
        for entry in found:
            if entry != "bash install.sh test":  # has run already
                run_command(entry, folder)

"""Write docs/configuration_keys.md, the reference of all configuration keys, from experiments/*/defaults.yaml.

python tracking/write_configuration_keys.py
python tracking/write_configuration_keys.py --check     # writes nothing; says when the page is stale
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.atomic import write_atomically
from lib.core.errors import InputError, run
from lib.core.key_reference import COMMAND, REFERENCE, write_reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the page is what it would be")
    args = parser.parse_args()
    text = write_reference()
    if args.check:
        if not REFERENCE.is_file() or REFERENCE.read_text(encoding="utf-8") != text:
            raise InputError(f"{REFERENCE}: is stale; write it with: {COMMAND}")
        return
    with write_atomically(REFERENCE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"written: {REFERENCE}")


if __name__ == "__main__":
    run(main)

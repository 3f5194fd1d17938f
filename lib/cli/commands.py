"""All commands: `rgbt <name>`, and the same command as a script of `tracking/` in a checkout.

A command is a module of this package with the name's words joined by underscores. Its docstring is what `--help` shows:
the first line says what it does, the indented lines are examples.
"""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

from ..core.paths import IS_CHECKOUT, ROOT

#: task -> name of the command -> its script in `tracking/`; "" where there is none
GROUPS: dict[str, dict[str, str]] = {
    "run": {"demo": "", "track": "video_demo", "app": "app"},
    "evaluate": {
        "test": "test",
        "score": "analysis_results",
        "vis": "vis_results",
        "recovery": "recovery",
        "compare figures": "compare_figures",
        "compare trackers": "compare_trackers",
        "refine": "refine_results",
        "transform": "transform_results",
        "vot": "vot_tracker",
        "tune": "tune",
    },
    "train": {"train": "train", "validate": "validate"},
    "data": {
        "check": "check_dataset",
        "pack": "pack_dataset",
        "crops": "prepare_crops",
        "synthetic": "make_synthetic",
        "labels": "make_pseudo_labels",
    },
    "weights and speed": {
        "convert": "convert_checkpoint",
        "export": "export",
        "profile": "profile_model",
        "benchmark": "benchmark",
    },
    "set up": {"init": "create_default_local_file", "keys": "write_configuration_keys"},
}
SCRIPTS = {name: script for group in GROUPS.values() for name, script in group.items()}

_NAMES = "|".join(sorted(SCRIPTS, key=len, reverse=True))
_TYPED = re.compile(rf"\brgbt ({_NAMES})\b")


def module_name(name: str) -> str:
    """The module of a command in this package."""
    return name.replace(" ", "_")


def load_command(name: str) -> ModuleType:
    """Import the module of one command. The others are not imported, since that takes seconds."""
    return importlib.import_module(f".{module_name(name)}", __package__)


def purpose(name: str) -> str:
    """The first line of a command's docstring, read without importing it."""
    source = Path(__file__).with_name(f"{module_name(name)}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


def usage(about: str) -> str:
    """The first two paragraphs of a docstring: what the command does, and its examples.

    >>> usage("Does this.\\n\\n    rgbt demo\\n\\nMore about it.")
    'Does this.\\n\\n    rgbt demo'
    """
    return "\n\n".join(about.split("\n\n")[:2])


def as_scripts(text: str) -> str:
    """A text in which `rgbt` commands are replaced by the scripts of `tracking/`.

    >>> as_scripts("rgbt score --csv out.csv")
    'python tracking/analysis_results.py --csv out.csv'
    """
    return _TYPED.sub(lambda found: f"python tracking/{SCRIPTS[found[1]]}.py" if SCRIPTS[found[1]] else found[0], text)


def own_command(name: str) -> list[str]:
    """The arguments of Python that start a command in another process, from any folder."""
    if IS_CHECKOUT:
        return [str(ROOT / "tracking" / f"{SCRIPTS[name]}.py")]
    return ["-m", f"{__package__}.{module_name(name)}"]

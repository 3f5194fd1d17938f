"""The reference of all configuration keys, written from the `defaults.yaml` files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .config import EXPERIMENTS
from .paths import ROOT
from .schema import Rule, read_schema

REFERENCE = ROOT / "docs" / "configuration_keys.md"
COMMAND = "python tracking/write_configuration_keys.py"

_INTRODUCTION = f"""# Configuration keys

Written by `{COMMAND}` from `experiments/*/defaults.yaml`; edit those.
How experiments work: [configuration.md](configuration.md).

An interval such as `(0, 1]` leaves out the end with the round bracket. Keys that public files carry and nothing reads
are accepted; they are listed at the end of each section.
"""


class KeyRow(NamedTuple):
    """One line of a table: a key, with the trackers that describe it in the same words."""

    key: str
    allowed: str
    meaning: str
    trackers: tuple[str, ...]
    defaults: tuple[Any, ...]  # of each tracker


def write_reference(experiments: Path = EXPERIMENTS) -> str:
    """The whole page as Markdown, from the folders in `experiments` that hold a defaults.yaml."""
    schemas = {path.parent.name: read_schema(path) for path in sorted(experiments.glob("*/defaults.yaml"))}
    sections = dict.fromkeys(key.partition(".")[0] for rules in schemas.values() for key in rules)
    parts = [_INTRODUCTION, "Trackers: " + ", ".join(f"`{name}`" for name in schemas) + ".\n"]
    for section in sections:
        chosen = {
            name: {key: rule for key, rule in rules.items() if key.partition(".")[0] == section}
            for name, rules in schemas.items()
        }
        parts.append(f"## {section}\n\n{_table(_rows(chosen), tuple(schemas))}")
        unread = dict.fromkeys(key for rules in chosen.values() for key, rule in rules.items() if rule.unread)
        if unread:
            parts.append("Accepted and unread: " + ", ".join(f"`{key}`" for key in unread) + ".\n")
    return "\n".join(parts)


def _rows(schemas: Mapping[str, Mapping[str, Rule]]) -> list[KeyRow]:
    """A row for each description of each key, in the order of the files; keys that nothing reads have none."""
    order = dict.fromkeys(key for rules in schemas.values() for key, rule in rules.items() if not rule.unread)
    rows = []
    for key in order:
        wordings: dict[tuple[str, str], list[str]] = {}
        for name, rules in schemas.items():
            if key in rules and not rules[key].unread:
                wordings.setdefault((rules[key].allowed, rules[key].meaning), []).append(name)
        for wording, names in wordings.items():
            rows.append(KeyRow(key, *wording, tuple(names), tuple(schemas[name][key].default for name in names)))
    return rows


def _table(rows: list[KeyRow], trackers: tuple[str, ...]) -> str:
    lines = ["| key | default | allowed | meaning | trackers |", "|---|---|---|---|---|"]
    for row in rows:
        whose = "all" if row.trackers == trackers else ", ".join(row.trackers)
        lines.append(f"| `{row.key}` | {_defaults(row)} | {_cell(row.allowed)} | {_cell(row.meaning)} | {whose} |")
    return "\n".join(lines) + "\n"


def _defaults(row: KeyRow) -> str:
    """The default value; where trackers differ, that of each tracker."""
    texts: dict[str, list[str]] = {}
    for tracker, default in zip(row.trackers, row.defaults, strict=True):
        texts.setdefault(f"`{_text(default)}`", []).append(tracker)
    if len(texts) == 1:
        return next(iter(texts))
    return "; ".join(f"{text} ({', '.join(names)})" for text, names in texts.items())


def _text(value: Any) -> str:
    """A value in YAML syntax."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return '""' if value == "" else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

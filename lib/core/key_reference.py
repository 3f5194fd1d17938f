"""The reference of all configuration keys, written from the `defaults.yaml` files."""

import textwrap
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

Each entry shows the key, its default, what is allowed, and the trackers that have it where not all do; then its
meaning. An interval such as `(0, 1]` leaves out the end with the round bracket. Keys that public files carry and
nothing reads are accepted; they are listed at the end of each section.
"""
_WIDTH = 120


class Entry(NamedTuple):
    """One entry: a key, as some trackers have it."""

    key: str
    allowed: str
    meaning: str
    trackers: tuple[str, ...]
    defaults: tuple[Any, ...]  # one for each tracker


def write_reference(experiments: Path = EXPERIMENTS) -> str:
    """The whole page as Markdown, from the folders in `experiments` that hold a defaults.yaml."""
    schemas = {path.parent.name: read_schema(path) for path in sorted(experiments.glob("*/defaults.yaml"))}
    sections = dict.fromkeys(key.partition(".")[0] for rules in schemas.values() for key in rules)
    listed = ", ".join(f"`{name}`" for name in schemas)
    parts = [_INTRODUCTION, textwrap.fill(f"Trackers: {listed}.", _WIDTH) + "\n"]
    for section in sections:
        chosen = {
            name: {key: rule for key, rule in rules.items() if key.partition(".")[0] == section}
            for name, rules in schemas.items()
        }
        parts.append(f"## {section}\n\n{_list(_entries(chosen), tuple(schemas))}")
        unread = dict.fromkeys(key for rules in chosen.values() for key, rule in rules.items() if rule.unread)
        if unread:
            listed = ", ".join(f"`{key}`" for key in unread)
            parts.append(textwrap.fill(f"Accepted and unread: {listed}.", _WIDTH) + "\n")
    return "\n".join(parts)


def _entries(schemas: Mapping[str, Mapping[str, Rule]]) -> list[Entry]:
    """One for each description of each key, in the order of the files; keys that nothing reads have none."""
    order = dict.fromkeys(key for rules in schemas.values() for key, rule in rules.items() if not rule.unread)
    entries = []
    for key in order:
        wordings: dict[tuple[str, str], list[str]] = {}
        for name, rules in schemas.items():
            if key in rules and not rules[key].unread:
                wordings.setdefault((rules[key].allowed, rules[key].meaning), []).append(name)
        for wording, names in wordings.items():
            entries.append(Entry(key, *wording, tuple(names), tuple(schemas[name][key].default for name in names)))
    return entries


def _list(entries: list[Entry], trackers: tuple[str, ...]) -> str:
    lines = []
    for entry in entries:
        facts = [f"`{entry.key}`", _defaults(entry), entry.allowed, *_whose(entry, trackers)]
        lines += [_wrap(" · ".join(facts), "- ") + "\\", _wrap(entry.meaning, "  ")]
    return "\n".join(lines) + "\n"


def _wrap(text: str, start: str) -> str:
    """Lines of a list entry; `start` is what the first one begins with."""
    return textwrap.fill(
        text, _WIDTH, initial_indent=start, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _whose(entry: Entry, trackers: tuple[str, ...]) -> list[str]:
    """The trackers that have the key, in few words; nothing where all have it."""
    others = [name for name in trackers if name not in entry.trackers]
    if len(others) == 1 and len(entry.trackers) > 1:
        return [f"all but {others[0]}"]
    return [", ".join(entry.trackers)] if others else []


def _defaults(entry: Entry) -> str:
    """The default value, or that of each tracker where they differ."""
    texts: dict[str, list[str]] = {}
    for tracker, default in zip(entry.trackers, entry.defaults, strict=True):
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

"""Experiments: `experiments/<tracker>/defaults.yaml`, then one overlay with the keys that differ, then `--set`.

Every value is checked here once, against the rules in defaults.yaml; other code relies on that.
"""

import difflib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from easydict import EasyDict

from .bounded import parse_yaml
from .errors import InputError
from .names import check_name
from .paths import ROOT
from .registry import choose
from .schema import Rule, read_schema, read_yaml

log = logging.getLogger(__name__)

EXPERIMENTS = ROOT / "experiments"
_SHOWN = 120  # characters of a value in a message


def load_config(tracker: str, config: str, overrides: Iterable[str] = (), *, option: str = "--set") -> EasyDict:
    """The resolved configuration of `experiments/<tracker>/<config>.yaml`.

    tracker: a folder of `experiments/`; config: a file of that folder, or the path of any YAML file;
    overrides: `KEY=VALUE` texts such as `TRAIN.LR=1e-4`, which replace the file's values; option: the command-line
    option that error messages name for them. Raises InputError with file, key, value and remedy for an unknown key, a
    wrong type, a value out of range or values that contradict each other.
    """
    trackers = [path.parent.name for path in EXPERIMENTS.glob("*/defaults.yaml")]
    folder = EXPERIMENTS / choose("tracker", tracker, trackers)
    rules = read_schema(folder / "defaults.yaml")
    values = {key: rule.default for key, rule in rules.items()}
    path = _find(folder, config)
    _merge(values, rules, flatten(read_yaml(path)), path.name)
    for text in overrides:
        _merge(values, rules, _parse_override(text, option), option)
    _check_relations(values, rules, path.name)
    return nest(values)


def save_config(cfg: EasyDict, path: Path) -> None:
    """Write a resolved configuration as YAML that `load_config` reads back to the same values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(_plain(cfg), sort_keys=False, default_flow_style=None), encoding="utf-8")


def list_configs(tracker: str) -> list[str]:
    """The names of the experiments of a tracker, sorted."""
    return sorted(path.stem for path in (EXPERIMENTS / tracker).glob("*.yaml") if path.stem != "defaults")


def config_name(config: str) -> str:
    """The name of a configuration's results and checkpoints, from its own name or its file. Raises InputError for one
    that leads to another folder.

    >>> config_name("mine/small.yaml"), config_name("vitb_256_mae_32x4_ep300")
    ('small', 'vitb_256_mae_32x4_ep300')
    """
    return check_name(Path(config).stem if config.endswith((".yaml", ".yml")) else config, "configuration")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration as one mapping of dotted keys.

    >>> flatten({"TRAIN": {"LR": 0.1, "SCHEDULER": {"TYPE": "step"}}})
    {'TRAIN.LR': 0.1, 'TRAIN.SCHEDULER.TYPE': 'step'}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(flatten(value, f"{dotted}."))
        else:
            flat[dotted] = value
    return flat


def _find(folder: Path, config: str) -> Path:
    if config.endswith((".yaml", ".yml")):
        path = Path(config)
        if not path.is_file():
            raise InputError(
                f"{config}: no such file; give a YAML file's path, or a name of experiments/{folder.name} without .yaml"
            )
        return path
    known = list_configs(folder.name)
    if config not in known:
        choose(f"configuration of {folder.name}", config, known)
        raise InputError(f"configuration {config!r} is unknown: names are written in lower and upper case as on disk")
    return folder / f"{config}.yaml"


def _parse_override(text: str, option: str) -> dict[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise InputError(f"{option} {text}: expected KEY=VALUE, for example TRAIN.LR=1e-4")
    try:
        return {key.strip(): parse_yaml(value) if value.strip() else ""}
    except ValueError as error:
        what = f"{value[:_SHOWN]!r} is not a YAML value ({error})"
        raise InputError(f"{option} {text[:_SHOWN]}: {what}; quote it, for example '[1, 2]'") from None


def _merge(values: dict[str, Any], rules: dict[str, Rule], overlay: dict[str, Any], source: str) -> None:
    for key, value in overlay.items():
        if key not in rules:
            raise InputError(f"{source}: {key}: unknown key; {_suggest(key, rules)}")
        try:
            values[key] = rules[key].check(value)
        except ValueError as error:
            default = rules[key].default
            shown = repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}…"
            raise InputError(f"{source}: {key}: {shown} is not allowed; {error} (default {default!r})") from None
        if rules[key].has_no_effect(value):
            log.warning("%s: %s is accepted for compatibility; nothing reads it", source, key)


def _suggest(key: str, rules: dict[str, Rule]) -> str:
    inside = [known for known in rules if known.startswith(f"{key}.")]
    if inside:
        return f"it is a section; set {inside[0]} and its like inside it"
    near = difflib.get_close_matches(key, rules, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "see defaults.yaml of the same folder for all keys"


def _check_relations(values: dict[str, Any], rules: dict[str, Rule], source: str) -> None:
    """Raises InputError where two keys contradict the rule of one of them."""
    for key, rule in rules.items():
        if rule.relation:
            try:
                rule.relation.check(values[key], values[rule.relation.other])
            except ValueError as error:
                raise InputError(f"{source}: {key}: {error}") from None


def nest(values: Mapping[str, Any]) -> EasyDict:
    """One mapping of dotted keys as a configuration: the inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for dotted, value in values.items():
        *parents, name = dotted.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = list(value) if isinstance(value, list) else value
    return EasyDict(tree)


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(value) for value in node]
    return node

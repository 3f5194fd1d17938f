"""`defaults.yaml` as a schema: the comment behind each key says what an experiment may set it to.

LR: 1.0e-4          # (0, 1] learning rate of ...        a number (or each number of a list) in an interval
CE_LOC: []          # whole [0, 99] blocks that ...      the same, whole numbers, where no default says so
TYPE: CENTER        # {CENTER, CORNER} the head ...      one of these words (or numbers)
PRETRAIN_FILE: ""   # any: file in pretrained_dir ...    anything of the default's type
MID_PE: false       # unread: the public code ...        accepted for the sake of public files, without effect
"""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .errors import InputError

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Z0-9_]+):(?P<rest>.*)$")
_INTERVAL = re.compile(r"^(?P<whole>whole )?(?P<left>[\[(])(?P<low>[^,]+),(?P<high>[^\])]+)(?P<right>[\])])")
_CHOICES = re.compile(r"^\{([^}]*)\}")


class _Loader(yaml.SafeLoader):
    """Plain data only, and no key twice: YAML would take the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class Rule(NamedTuple):
    """What one key accepts."""

    default: Any
    item: Any = ""  # what an item of a list is like, where the default has none
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str, ...] = ()
    unread: bool = False
    comment: str = ""  # as the file has it: the rule, then the meaning

    def check(self, value: Any) -> Any:
        """`value` in the default's type; raises ValueError that says what was expected instead."""
        if self.unread:
            return value
        value = self._cast_list(value) if isinstance(self.default, list) else _cast(value, self.default)
        for item in value if isinstance(value, list) else [value]:
            self._check_item(item)
        return value

    def _cast_list(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("expected a list")
        return [_cast(item, self.default[0] if self.default else self.item) for item in value]

    def _check_item(self, item: Any) -> None:
        if self.choices and str(item) not in self.choices:
            raise ValueError(f"expected one of {', '.join(self.choices)}")
        if isinstance(item, (int, float)) and not isinstance(item, bool):
            too_low = item <= self.low if self.low_open else item < self.low
            too_high = item >= self.high if self.high_open else item > self.high
            if too_low or too_high or math.isnan(item):
                raise ValueError(f"expected a value in {self._interval()}")

    def _interval(self) -> str:
        return f"{'(['[not self.low_open]}{self.low:g}, {self.high:g}{')]'[not self.high_open]}"


def read_schema(path: Path) -> dict[str, Rule]:
    """The rules of a `defaults.yaml`, by dotted key, in the file's order.

    Raises InputError when the file cannot be read and ValueError when a key has no rule: the file is ours.
    """
    values = read_yaml(path)
    rules: dict[str, Rule] = {}
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _KEY.match(line)
        if not match:
            continue
        indent = len(match["indent"])
        parents = [parent for parent in parents if parent[0] < indent]
        dotted = ".".join([name for _, name in parents] + [match["key"]])
        value, _, comment = match["rest"].partition("#")
        if value.strip():
            rule = _parse_rule(dotted, _lookup(values, dotted), comment.strip())
            rules[dotted] = rule._replace(comment=comment.strip())
        else:
            parents.append((indent, match["key"]))
    return rules


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping as plain data. Raises InputError with file and line for anything else."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", error)
        where = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}:{where} is not valid YAML ({problem}); fix the line") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file; give a YAML file") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, expected KEY: value lines")
    return content


def _parse_rule(key: str, default: Any, comment: str) -> Rule:
    if comment.startswith("unread:"):
        return Rule(default, unread=True)
    if comment.startswith("any:"):
        return Rule(default)
    if choices := _CHOICES.match(comment):
        return Rule(default, choices=tuple(word.strip() for word in choices[1].split(",")))
    if interval := _INTERVAL.match(comment):
        item = 0 if interval["whole"] else 0.0
        low, high = float(interval["low"]), float(interval["high"])
        return Rule(default, item, low, high, interval["left"] == "(", interval["right"] == ")")
    raise ValueError(f"{key}: its comment must begin with an interval, 'whole', {{choices}}, 'any:' or 'unread:'")


def _lookup(values: dict[str, Any], dotted: str) -> Any:
    for name in dotted.split("."):
        values = values[name]
    return values


def _cast(value: Any, like: Any) -> Any:
    if isinstance(like, float) and not isinstance(value, bool):
        return _number(value)
    if type(value) is not type(like):
        raise ValueError(f"expected {_TYPE_NAMES[type(like)]}")
    return value


def _number(value: Any) -> float:
    try:  # YAML 1.1 reads 1e-4 (no point) as text; people mean the number
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("expected a number") from None


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}

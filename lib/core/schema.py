"""`defaults.yaml` as a schema: the comment behind each key is the rule for its values.

A comment begins with the rule:

LR: 1.0e-4          # (0, 1] learning rate of ...        a number (or each number of a list) in an interval
CE_LOC: []          # whole [0, 99] blocks that ...      the same, whole numbers, where no default says so
TYPE: CENTER        # {CENTER, CORNER} the head ...      one of these words (or numbers)
PRETRAIN_FILE: ""   # any: file in pretrained_dir ...    anything of the default's type
MID_PE: false       # unread: the public code ...        accepted for the sake of public files, without effect
F2_WEIGHT: 3.0      # unread: {0.2} its loss ...         the same; public files hold these values, others are warned of

Behind an interval, choices or `any:` the rule may name another key, or a number of values, and end with a colon; what
follows the comma is the reason, which the error message repeats:

STD: [1.0]          # (0, 1] as many as DATA.MEAN: standard deviation ...
SIZE: 256           # [32, 1024] multiple of MODEL.BACKBONE.STRIDE: side of ...
SEARCH_SIZE: 256    # [32, 1024] equal to DATA.SEARCH.SIZE, which the position codes are made for: side of ...
MEAN: [0.5]         # [0, 1] 3 or 6 values, for visible or for visible and infrared: mean per channel
"""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from .bounded import LARGEST, parse_yaml
from .errors import InputError

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Z0-9_]+):(?P<rest>.*)$")
_COMMENT = re.compile(
    r"""(?P<rule>
          (?: (?P<whole>whole\ )?(?P<left>[\[(])(?P<low>[^,]+),(?P<high>[^\])]+)(?P<right>[\])])
            | \{(?P<choices>[^}]*)\}
            | any:
            | (?P<unread>unread):(?:\ \{(?P<public>[^}]*)\})? )
          (?: \ (?: (?P<relation>as\ many\ as|multiple\ of|equal\ to)\ (?P<other>[A-Z][A-Z0-9_.]*)
                  | (?P<counts>\d+(?:\ or\ \d+)*)\ values )
              (?P<reason>,[^:]*)? : )? )
        \s*(?P<meaning>.*)""",
    re.VERBOSE,
)


class Relation(NamedTuple):
    """A condition on the value of a key and that of another key."""

    kind: str  # "as many as", "multiple of" or "equal to"
    other: str  # dotted key
    reason: str = ""  # with its comma

    def check(self, value: Any, other: Any) -> None:
        """Raises ValueError with the remedy where the two values do not meet the condition."""
        if self.kind == "as many as" and len(value) != len(other):
            raise ValueError(f"{len(value)} values for {len(other)} of {self.other}; give one for each")
        if self.kind == "multiple of" and value % other:
            near = max(1, round(value / other)) * other
            raise ValueError(f"{value} is not a multiple of {self.other} {other}; give {near}, for example")
        if self.kind == "equal to" and value != other:
            raise ValueError(f"{value} differs from {self.other} {other}{self.reason}; set both alike")


class Rule(NamedTuple):
    """The values that a key accepts."""

    default: Any
    item: Any = ""  # example of a list's item, where the default list is empty
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()  # allowed lengths of a list; empty: any length
    reason: str = ""  # of the counts, with its comma
    relation: Relation | None = None
    unread: bool = False
    public: tuple[str, ...] = ()  # of an unread key: values in public files
    allowed: str = ""  # the rule in the words of the file
    meaning: str = ""  # the rest of the comment

    def check(self, value: Any) -> Any:
        """`value`, converted to the default's type. Raises ValueError with the expected values."""
        if self.unread:
            return value
        value = self._cast_list(value) if isinstance(self.default, list) else _cast(value, self.default)
        for item in value if isinstance(value, list) else [value]:
            self._check_item(item)
        return value

    def has_no_effect(self, value: Any) -> bool:
        """Whether setting `value` has no effect: the key is unread, and public files do not hold this value."""
        return self.unread and value != self.default and str(value) not in self.public

    def _cast_list(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("expected a list")
        if self.counts and len(value) not in self.counts:
            raise ValueError(f"expected {' or '.join(map(str, self.counts))} values{self.reason}")
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

    Raises InputError when the file cannot be read, and ValueError when a key has no rule or its rule names an unknown
    key: a bug, since the file belongs to the toolbox.
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
            rules[dotted] = _parse_rule(dotted, _lookup(values, dotted), comment.strip())
        else:
            parents.append((indent, match["key"]))
    for key, rule in rules.items():
        if rule.relation and rule.relation.other not in rules:
            raise ValueError(f"{key}: its comment names {rule.relation.other}, which the file does not have")
    return rules


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping as plain data. Raises InputError with file and line for anything else."""
    try:
        with open(path, encoding="utf-8") as file:
            content = parse_yaml(file.read(LARGEST + 1))
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file; give a YAML file") from None
    except ValueError as error:
        raise InputError(f"{path}: is not valid YAML ({error}); fix the line") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, expected KEY: value lines")
    return content


def _parse_rule(key: str, default: Any, comment: str) -> Rule:
    found = _COMMENT.fullmatch(comment)
    if found is None:
        raise ValueError(f"{key}: its comment must begin with an interval, 'whole', {{choices}}, 'any:' or 'unread:'")
    rule = Rule(default, allowed=found["rule"].rstrip(":"), meaning=found["meaning"])
    if found["unread"]:
        return rule._replace(unread=True, public=_split(found["public"]))
    if found["relation"]:
        rule = rule._replace(relation=Relation(found["relation"], found["other"], found["reason"] or ""))
    if found["counts"]:
        counts = tuple(int(count) for count in found["counts"].split(" or "))
        rule = rule._replace(counts=counts, reason=found["reason"] or "")
    if found["left"]:
        rule = rule._replace(item=0 if found["whole"] else 0.0, low=float(found["low"]), high=float(found["high"]))
        return rule._replace(low_open=found["left"] == "(", high_open=found["right"] == ")")
    return rule._replace(choices=_split(found["choices"]))


def _split(words: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",")) if words else ()


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
    try:  # YAML 1.1 reads 1e-4 (without a point) as text
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("expected a number") from None


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}

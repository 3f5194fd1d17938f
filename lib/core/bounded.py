"""YAML and JSON from elsewhere as plain data, bounded in size, depth and time."""

import json
from typing import Any

import yaml

LARGEST = 1 << 18  # characters of YAML; the longest file of experiments has a tenth
DEEPEST = 32  # collections within each other
MOST = 5_000  # values of a YAML text, with those that aliases repeat
LONGEST_NUMBER = 40  # characters
MOST_BITS = 64  # of a whole number


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises ValueError with the line and what is wrong there for anything but plain data
    of moderate size, duplicate keys among it, of which YAML would silently use the last."""
    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text)} characters, at most {LARGEST} are read")
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(where + str(problem).splitlines()[0]) from None


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for anything else, also for one that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """Loads plain data only; every fault is a ConstructorError."""

    def __init__(self, stream: str):
        super().__init__(stream)
        self._depth = 0
        self._sizes: dict[int, int] = {}  # values below a node, by its id

    def compose_node(self, parent: Any, index: Any) -> Any:
        begun = self.peek_event()
        self._depth += 1
        if self._depth > DEEPEST:
            raise _fault(f"is nested more than {DEEPEST} deep", begun)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(begun, yaml.AliasEvent):
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            inside = [part for item in parts for part in (item if isinstance(item, tuple) else [item])]
            self._sizes[id(node)] = 1 + sum(self._sizes[id(part)] for part in inside)
        elif id(node) not in self._sizes:
            raise _fault(f"*{begun.anchor} refers to what it is part of", begun)
        if max(self._sizes[id(node)], len(self._sizes)) > MOST:
            raise _fault(f"has more than {MOST} values, with those that aliases repeat", begun)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a key must be a word or a number", key)
            if key.value in seen:
                raise _fault(f"{key.value[:LONGEST_NUMBER]} is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            raise _fault(f"{str(node.value)[:LONGEST_NUMBER]!r} is not a value", node) from None
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise _fault(f"{node.value[:LONGEST_NUMBER]} is too large", node)
        return value

    def construct_yaml_int(self, node: Any) -> int:
        return int(super().construct_yaml_int(self._short(node)))

    def construct_yaml_float(self, node: Any) -> float:
        return float(super().construct_yaml_float(self._short(node)))

    def _short(self, node: Any) -> Any:
        if len(node.value) > LONGEST_NUMBER:
            raise _fault(f"a number of {len(node.value)} characters", node)
        return node


for kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", getattr(_Loader, f"construct_yaml_{kind}"))


def _fault(problem: str, place: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, place.start_mark)

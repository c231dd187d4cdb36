"""Turns YAML text into plain dicts the way the language reads it.

Only true and false are yes/no values; yes, no, on and off stay words; numbers are the decimals written; a
repeated key is an error.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml


class _Words(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own form)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if repeated := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"repeated keys: {sorted(repeated)}")
        return super().construct_mapping(node, deep)


_Words.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"~|null|"), ["~", "n", ""])
_Words.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|false"), ["t", "f"])
_Words.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?\d+"), [*"-0123456789"])
_Words.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"-?\d+\.\d+"), [*"-0123456789"])
for _pattern in _Words.yaml_implicit_resolvers.values():
    _pattern[:] = [(tag, re.compile(f"(?:{regex.pattern})$")) for tag, regex in _pattern]
_Words.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Words.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Decimal(node.value))


def read_yaml(text: str) -> Any:
    return yaml.load(text, _Words)

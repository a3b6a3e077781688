"""From the text of a plan file to plain data: YAML or JSON, syntax errors placed by line and column. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from metabuilder.builds.plan_schema import InvalidPlan

MAX_BYTES = 512 * 1024
_MAX_DEPTH = 40
_MAX_NODES = 50_000  # after aliases are expanded


class _PlanLoader(yaml.SafeLoader):
    """YAML with the scalar types of JSON: `on`, 010, 1:30 and dates stay the text that was written."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-+0123456789"),
    ("merge", r"<<", "<"),
):
    _PlanLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"(?:{_pattern})\Z"),
        [c if c != "\0" else "" for c in _first],
    )


def decode(text: str, name: str) -> object:
    """The document as plain data. Raises InvalidPlan for what cannot be read or is absurdly large."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidPlan((f"{name}: is larger than {MAX_BYTES // 1024} KiB",))
    text = text.removeprefix("\ufeff")
    if name.endswith(".json"):
        return _decode_json(text, name)
    try:
        return _decode_yaml(text, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise InvalidPlan((f"{where}: {what}",)) from error
    except yaml.reader.ReaderError as error:
        lines = text[: error.position].split("\n")
        where = f"{name}:{len(lines)}:{len(lines[-1]) + 1}"
        raise InvalidPlan((f"{where}: {error.reason}",)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidPlan((f"{name}: {error}",)) from error


def _decode_json(text: str, name: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise InvalidPlan((f"{name}:{error.lineno}:{error.colno}: {error.msg}",)) from error
    except ValueError as error:
        raise InvalidPlan((f"{name}: {error}",)) from error
    except RecursionError as error:
        raise InvalidPlan((f"{name}: is nested too deeply",)) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for index, (key, _) in enumerate(pairs):
        if any(key == other for other, _ in pairs[:index]):
            raise ValueError(f"duplicate key {key!r}")
    return dict(pairs)


def _decode_yaml(text: str, name: str) -> object:
    _check_depth(text, name)
    loader = _PlanLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise InvalidPlan((f"{name}: is empty",))
        _expanded_size(node, {}, name)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _line(node: yaml.Event | yaml.Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1


def _check_depth(text: str, name: str) -> None:
    """The parser is a loop and the composer recurses, so depth is checked on the parser's events."""
    depth = 0
    for event in yaml.parse(text, Loader=_PlanLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise InvalidPlan((f"{name}:{_line(event)}: is nested too deeply",))


def _expanded_size(node: yaml.Node, sizes: dict[int, int], name: str) -> int:
    """How many nodes there are once aliases are copies. Refuses bombs, and documents that hold themselves."""
    if id(node) in sizes:
        size = sizes[id(node)]
        if size == 0:
            raise InvalidPlan((f"{name}:{_line(node)}: an alias refers to what holds it",))
        return size
    sizes[id(node)] = 0  # being measured
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        _check_keys(node, name)
        children = [child for pair in node.value for child in pair]
    size = 1 + sum(_expanded_size(child, sizes, name) for child in children)
    if size > _MAX_NODES:
        raise InvalidPlan((f"{name}:{_line(node)}: its aliases expand to too many values",))
    sizes[id(node)] = size
    return size


def _check_keys(node: yaml.MappingNode, name: str) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        where = f"{name}:{_line(key)}:{key.start_mark.column + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise InvalidPlan((f"{where}: a key must be text",))
        if key.value in seen:
            raise InvalidPlan((f"{where}: duplicate key {key.value!r}",))
        seen.add(key.value)

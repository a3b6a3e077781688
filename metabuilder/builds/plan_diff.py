"""What changed between two plans, as a JSON Patch (RFC 6902) that people can read. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.plans import Plan

Operation = dict[str, Any]


class PatchDoesNotApply(MetabuilderError):
    """The document is not the one the patch was made for. Nothing was changed."""

    code, http_status = "patch_does_not_apply", 409


def diff(old: Plan | Mapping[str, Any], new: Plan | Mapping[str, Any]) -> list[Operation]:
    """The operations that turn `old` into `new`. A step is known by its name: a new one is a single `add`, an
    edited one gives operations on its fields.
    """
    return _diff_values("", _document(old), _document(new))


def _document(plan: Plan | Mapping[str, Any]) -> Mapping[str, Any]:
    return plan.to_json() if isinstance(plan, Plan) else plan


def _diff_values(path: str, old: Any, new: Any) -> list[Operation]:
    if _token(old) == _token(new):
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _diff_mappings(path, old, new)
    if isinstance(old, list) and isinstance(new, list):
        return _diff_lists(path, old, new)
    return [{"op": "replace", "path": path, "value": new}]


def _diff_mappings(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Operation]:
    operations: list[Operation] = []
    for key, value in old.items():
        at = f"{path}/{_escaped(key)}"
        if key in new:
            operations += _diff_values(at, value, new[key])
        else:
            operations.append({"op": "remove", "path": at})
    added = [key for key in new if key not in old]
    return operations + [{"op": "add", "path": f"{path}/{_escaped(key)}", "value": new[key]} for key in added]


def _diff_lists(path: str, old: list[Any], new: list[Any]) -> list[Operation]:
    """Operations in order, each index being the one at the time its operation is applied."""
    operations: list[Operation] = []
    matcher = SequenceMatcher(None, [_identity(e) for e in old], [_identity(e) for e in new], autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        before, after = old[old_start:old_end], new[new_start:new_end]
        shared = min(len(before), len(after))
        for index in range(shared):
            at = f"{path}/{new_start + index}"
            if tag == "equal" or _resembles(before[index], after[index]):
                operations += _diff_values(at, before[index], after[index])
            else:
                operations.append({"op": "replace", "path": at, "value": after[index]})
        position = new_start + shared
        operations += [{"op": "remove", "path": f"{path}/{position}"} for _ in before[shared:]]
        operations += [
            {"op": "add", "path": f"{path}/{position + offset}", "value": value}
            for offset, value in enumerate(after[shared:])
        ]
    return operations


def _identity(element: Any) -> str:
    if isinstance(element, Mapping) and isinstance(element.get("name"), str):
        return f"name {element['name']}"
    return _token(element)


def _resembles(old: Any, new: Any) -> bool:
    """Whether an edit reads better than a replacement: a renamed step that still runs the same command."""
    return isinstance(old, Mapping) and isinstance(new, Mapping) and "run" in old and old["run"] == new.get("run")


def _token(value: Any) -> str:
    """Equal for equal JSON only; in Python 1 == True."""
    return json.dumps(value, sort_keys=True)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def apply(document: Mapping[str, Any], patch: Sequence[Operation]) -> dict[str, Any]:
    """A copy of `document` with the patch applied. Raises PatchDoesNotApply; `document` is never changed."""
    root = {"": copy.deepcopy(document)}  # a parent for the path "", so that the whole document can be replaced
    for number, operation in enumerate(patch):
        try:
            _apply_one(root, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise PatchDoesNotApply(f"operation {number} {operation!r}: {error}") from error
    result = root[""]
    if not isinstance(result, dict):
        raise PatchDoesNotApply("the result is not a JSON object")
    return result


def _apply_one(root: dict[str, Any], operation: Operation) -> None:
    action, path = operation["op"], operation["path"]
    if action == "add":
        _add(root, path, copy.deepcopy(operation["value"]))
    elif action == "remove":
        _remove(root, path)
    elif action == "replace":
        parent, key = _locate(root, path)
        parent[key]  # must be there
        parent[key] = copy.deepcopy(operation["value"])
    elif action == "move":
        _add(root, path, _remove(root, operation["from"]))
    elif action == "copy":
        parent, key = _locate(root, operation["from"])
        _add(root, path, copy.deepcopy(parent[key]))
    elif action == "test":
        parent, key = _locate(root, path)
        if _token(parent[key]) != _token(operation["value"]):
            raise ValueError(f"the value at {path!r} is another one")
    else:
        raise ValueError(f"unknown operation {action!r}")


def _add(root: dict[str, Any], path: str, value: Any) -> None:
    parent, key = _locate(root, path, appending=True)
    if isinstance(parent, list):
        parent.insert(key, value)
    else:
        parent[key] = value


def _remove(root: dict[str, Any], path: str) -> Any:
    parent, key = _locate(root, path)
    return parent.pop(key)


def _locate(root: dict[str, Any], path: str, *, appending: bool = False) -> tuple[Any, Any]:
    """The container that `path` points into, and the key or index within it."""
    if path and not path.startswith("/"):
        raise ValueError(f"{path!r} is not a JSON pointer")
    parent: Any = None
    container: Any = root
    key: Any = ""
    for part in path.split("/")[1:]:
        parent = container[key]
        container, key = parent, part.replace("~1", "/").replace("~0", "~")
        if isinstance(container, list):
            key = _index(container, key, appending=appending)
    return container, key


def _index(container: list[Any], text: str, *, appending: bool) -> int:
    if text == "-" and appending:
        return len(container)
    if not text.isdecimal() or (text != "0" and text.startswith("0")):
        raise ValueError(f"{text!r} is not an index")
    if int(text) >= len(container) + appending:
        raise IndexError(f"no element {text}")
    return int(text)

"""Edits of dependency declarations as text, in the file's own style. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, Array

_REQUIREMENT = re.compile(
    r"^(?P<lead>\s*)(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<extras>\s*\[[^\]]*\])?"
    r"(?P<spec>\s*\(?(?:[<>=!~]=?=?\s*[^;#,\s\\]+\s*,?\s*)*\)?)(?P<rest>.*)$"
)
_SECTION = re.compile(r"^\[([^\]]+)\]\s*$")


@dataclass(frozen=True, slots=True)
class Change:
    """One declaration to make: `old` is the declaration it replaces, None for a new one."""

    new: str
    old: str | None = None


def name_of(requirement: str) -> str | None:
    """The canonical name of a requirement, None where the text is none (an option, a URL, a comment)."""
    found = _REQUIREMENT.match(requirement)
    if not found or "://" in requirement.split("#")[0].split("@")[0] or requirement.lstrip().startswith(("-", "#")):
        return None
    return canonicalize_name(found["name"])


def bounded(requirement: str, bound: str) -> str | None:
    """The requirement with one more version bound, None where it is an exact pin, a URL, or cannot be read."""
    found = _REQUIREMENT.match(requirement)
    if not found or "@" in found["rest"].split("#")[0].split(";")[0] or "==" in found["spec"]:
        return None
    spec = found["spec"].strip().strip("()").rstrip(", ")
    gap = re.match(r"\s*", found["spec"])[0] if spec else ""  # type: ignore[index]  # matches the empty string too
    space = " " if found["rest"][:1] == "#" or (found["rest"][:1] == ";" and found["spec"].endswith(" ")) else ""
    kept = ",".join(part for part in re.split(r"\s*,\s*", spec) if part and not part.startswith("<"))
    whole = f"{kept},{bound}" if kept else bound
    trailing = found["spec"][len(found["spec"].rstrip()) :] if found["rest"] else ""
    new = f"{found['lead']}{found['name']}{found['extras'] or ''}{gap}{whole}{trailing or space}{found['rest']}"
    try:
        Requirement(new.split(" #")[0].split("\\")[0].strip())
    except InvalidRequirement:
        return None
    return new


def newline_of(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def is_sorted(names: Sequence[str]) -> bool:
    folded = [name.casefold() for name in names]
    return len(folded) > 1 and folded == sorted(folded)


def place_for(new: str, existing: Sequence[str]) -> int:
    """Where in a list a new requirement belongs: in order where the list is in order, else at the end."""
    if not is_sorted(existing):
        return len(existing)
    return next((i for i, item in enumerate(existing) if item.casefold() > new.casefold()), len(existing))


# requirements files


def requirement_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if name_of(line)]


def edit_requirements(text: str, change: Change) -> str | None:
    newline, lines = newline_of(text), text.splitlines()
    if change.old is not None:
        at = next((i for i, line in enumerate(lines) if line.strip() == change.old), None)
        if at is None:
            return None
        lines[at] = change.new
        return newline.join(lines) + (newline if text.endswith("\n") else "")
    positions = [i for i, line in enumerate(lines) if name_of(line)]
    place = place_for(change.new, [lines[i] for i in positions])
    at = positions[place] if place < len(positions) else len(lines)
    if at == len(lines):
        while at and not lines[at - 1].strip():
            at -= 1
    lines.insert(at, change.new)
    return newline.join(lines) + newline


# arrays of requirements in TOML


def toml_array(text: str, keys: Sequence[str]) -> list[str]:
    found = _toml_item(text, keys)[1]
    return [str(item) for item in found if isinstance(item, str)] if isinstance(found, Array) else []


def edit_toml_array(text: str, keys: Sequence[str], change: Change) -> str | None:
    document, array = _toml_item(text, keys)
    if document is None or not isinstance(array, Array):
        return None
    items = [str(item) if isinstance(item, str) else "" for item in array]
    if change.old is None:
        array.insert(place_for(change.new, items), change.new)
    elif change.old in items:
        array[items.index(change.old)] = change.new
    else:
        return None
    return _dumped(document, text)


def edit_toml_table(text: str, keys: Sequence[str], name: str, value: str) -> str | None:
    """Set `name = "value"` in a table such as [tool.poetry.dependencies]; {version = …} keeps its other keys."""
    document, table = _toml_item(text, keys)
    if document is None or not isinstance(table, AbstractTable):
        return None
    key = next((key for key in table if canonicalize_name(key) == canonicalize_name(name)), name)
    if hasattr(table.get(key), "keys"):
        table[key]["version"] = value
    else:
        table[key] = value
    return _dumped(document, text)


def _toml_item(text: str, keys: Sequence[str]) -> tuple[tomlkit.TOMLDocument | None, object]:
    try:
        document = tomlkit.parse(text)
    except (TOMLKitError, RecursionError):
        return None, None
    item: object = document
    for key in keys:
        item = item.get(key) if hasattr(item, "get") else None
    return document, item


def _dumped(document: tomlkit.TOMLDocument, before: str) -> str:
    text = tomlkit.dumps(document)
    return text.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in before else text


# setup.cfg


def cfg_list(text: str, section: str, key: str) -> list[str]:
    found = _cfg_span(text.splitlines(), section, key)
    if found is None:
        return []
    start, end, lines = *found, text.splitlines()
    return [line.strip() for line in [lines[start].split("=", 1)[1], *lines[start + 1 : end]] if name_of(line)]


def edit_cfg(text: str, section: str, key: str, change: Change) -> str | None:
    newline, lines = newline_of(text), text.splitlines()
    found = _cfg_span(lines, section, key)
    if found is None:
        return None
    start, end = found
    if change.old is not None:
        for index in range(start, end):
            if lines[index].strip() == change.old:
                lines[index] = lines[index].replace(change.old, change.new)
                break
            if index == start and lines[index].split("=", 1)[1].strip() == change.old:
                lines[index] = f"{lines[index].split('=', 1)[0]}= {change.new}"
                break
        else:
            return None
        return newline.join(lines) + (newline if text.endswith("\n") else "")
    body = [i for i in range(start + 1, end) if name_of(lines[i])]
    inline = lines[start].split("=", 1)[1].strip()
    if inline:  # one requirement beside the key: give each its own line
        lines[start : start + 1] = [lines[start].split("=", 1)[0].rstrip() + " =", f"    {inline}"]
        body = [start + 1]
    indent = re.match(r"\s*", lines[body[0]])[0] if body else "    "  # type: ignore[index]  # always matches
    place = place_for(change.new, [lines[i].strip() for i in body])
    at = body[place] if place < len(body) else (body[-1] + 1 if body else start + 1)
    lines.insert(at, indent + change.new)
    return newline.join(lines) + (newline if text.endswith("\n") else "")


def _cfg_span(lines: Sequence[str], section: str, key: str) -> tuple[int, int] | None:
    """The lines of a key's value: from the key's own line up to, not including, the end."""
    here = ""
    for index, line in enumerate(lines):
        heading = _SECTION.match(line)
        if heading:
            here = heading[1]
        elif here == section and re.match(rf"{re.escape(key)}\s*=", line):
            end = index + 1
            while end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t"):
                end += 1
            while not lines[end - 1].strip():
                end -= 1
            return index, end
    return None


# setup.py


def setup_list(text: str) -> list[str]:
    node = _setup_node(text)
    return (
        [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        if node
        else []
    )


def edit_setup(text: str, change: Change) -> str | None:
    """Add to, or change in, a literal install_requires list; None where it is computed."""
    node = _setup_node(text)
    if node is None or not node.elts:
        return None
    newline, lines = newline_of(text), text.splitlines()
    old = next((e for e in node.elts if isinstance(e, ast.Constant) and e.value == change.old), None)
    target = node.elts[-1] if change.old is None else old
    if target is None or target.lineno != target.end_lineno or not lines[target.lineno - 1].isascii():
        return None
    line = lines[target.lineno - 1]
    quoted = line[target.col_offset : target.end_col_offset]
    new = f"{quoted[0]}{change.new}{quoted[0]}"
    if change.old is not None:
        lines[target.lineno - 1] = line[: target.col_offset] + new + line[target.end_col_offset :]
    elif node.lineno == target.lineno:
        lines[target.lineno - 1] = f"{line[: target.end_col_offset]}, {new}{line[target.end_col_offset :]}"
    else:
        rest = line[target.end_col_offset :]
        if not rest.startswith(","):
            rest = "," + rest
        indent = line[: len(line) - len(line.lstrip())]
        lines[target.lineno - 1] = line[: target.end_col_offset] + rest
        lines.insert(target.lineno, f"{indent}{new},")
    return newline.join(lines) + (newline if text.endswith("\n") else "")


def _setup_node(text: str) -> ast.List | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    names = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            value = names.get(node.value.id) if isinstance(node.value, ast.Name) else node.value
            return value if isinstance(value, ast.List) else None
    return None

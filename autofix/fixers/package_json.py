"""One more development dependency in the text of a package.json, everything else kept as it is. Pure."""

from __future__ import annotations

import json
import re

_EXACT = re.compile(r"\d+\.\d+\.\d+[\w.+-]*$")


def with_dev_dependency(text: str, name: str, version: str) -> str | None:
    """The text with `name` in devDependencies, in the style of its neighbours; None where it cannot be placed."""
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    section = data.get("devDependencies")
    if isinstance(section, dict) and name in section:
        return text
    known = {**_table(data, "dependencies"), **_table(data, "devDependencies")}
    exact = bool(known) and all(isinstance(value, str) and _EXACT.match(value) for value in known.values())
    entry = f"{json.dumps(name)}: {json.dumps(version if exact else f'^{version}')}"
    edited = _into_section(text, name, entry) if isinstance(section, dict) and section else _new_section(text, entry)
    wanted = {**_table(data, "devDependencies"), name: version if exact else f"^{version}"}
    try:
        valid = edited is not None and json.loads(edited) == {**data, "devDependencies": wanted}
    except ValueError:
        valid = False
    return edited if valid else None


def _table(data: dict[str, object], key: str) -> dict[str, object]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _into_section(text: str, name: str, entry: str) -> str | None:
    """Before the first key that sorts after it, else after the last."""
    opening = re.search(r'"devDependencies"\s*:\s*\{', text)
    if not opening:
        return None
    end = text.index("}", opening.end())
    keys = list(re.finditer(r'(\s*)"((?:[^"\\]|\\.)*)"\s*:\s*"(?:[^"\\]|\\.)*"', text[opening.end() : end]))
    names = [key[2] for key in keys]
    if not keys:
        return None
    later = next((key for key in keys if key[2] > name), None) if names == sorted(names) else None
    gap = keys[0][1]
    if later is not None:
        at = opening.end() + later.start()
        return f"{text[:at]}{later[1]}{entry},{later[1] if later is not keys[0] else gap}{text[at + len(later[1]) :]}"
    at = opening.end() + keys[-1].end()
    return f"{text[:at]},{gap}{entry}{text[at:]}"


def _new_section(text: str, entry: str) -> str | None:
    """A section after "dependencies", or as the last of the file."""
    empty = re.search(r'("devDependencies"\s*:\s*\{)\s*(\})', text)
    indent = re.search(r'\n([ \t]+)"', text)
    newline = "\r\n" if "\r\n" in text else "\n"
    if indent is None:
        return None
    one = indent[1]
    if empty:
        return f"{text[: empty.end(1)]}{newline}{one}{one}{entry}{newline}{one}{text[empty.start(2) :]}"
    section = f'"devDependencies": {{{newline}{one}{one}{entry}{newline}{one}}}'
    dependencies = re.search(r'"dependencies"\s*:\s*\{[^{}]*\}', text)
    if dependencies:
        return f"{text[: dependencies.end()]},{newline}{one}{section}{text[dependencies.end() :]}"
    last = text.rstrip().rfind("}")
    body = text[:last].rstrip()
    return f"{body},{newline}{one}{section}{text[len(body) :]}"

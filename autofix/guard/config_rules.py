"""Changes to what configures, runs or lists the project's checks. Compares meaning where the format allows. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from typing import Any

import yaml

from autofix.guard import kinds
from autofix.guard.commands import lost_checks, newly_neutralised
from autofix.guard.dependencies import canonical, is_requirements, npm_foreign
from autofix.guard.verdict import ChangedText, Finding

# Tables that packaging tools read. Every other [tool.*] table configures a checker, as far as the guard knows.
_PACKAGING = frozenset(
    {"setuptools", "setuptools_scm", "setuptools-scm", "flit", "maturin", "scikit-build", "cibuildwheel"}
)
_MANAGERS = {
    "uv": {"dev-dependencies", "constraint-dependencies", "exclude-newer", "package", "required-version"},
    "poetry": {
        "dependencies",
        "dev-dependencies",
        "group",
        "packages",
        "version",
        "include",
        "name",
        "description",
    },
    "pdm": {"dev-dependencies", "version"},
    "hatch": {"version", "build", "metadata"},
}
_PROJECT_PROMISES = ("license", "license-files", "requires-python", "entry-points")
_PACKAGE_JSON_FREE = frozenset(
    {
        "dependencies",
        "devDependencies",
        "peerDependencies",
        "optionalDependencies",
        "overrides",
        "resolutions",
    }
    | {
        "name",
        "version",
        "description",
        "keywords",
        "author",
        "repository",
        "bugs",
        "homepage",
        "main",
        "module",
    }
    | {"types", "typings", "exports", "type", "packageManager", "engines", "private"}
)
_CARGO_FREE = frozenset({"dependencies", "dev-dependencies", "build-dependencies", "features", "target"})
_SHEBANG = re.compile(
    r"#!\s*(/usr/bin/env\s+(-S\s+)?|(/usr)?(/local)?/bin/)(ba|da|z|k)?sh\b|#!\s*\S*\b(python|node|perl|ruby|env)"
)


def check_configuration(text: ChangedText) -> Iterator[Finding]:
    if means_the_same(text):
        return
    name = text.name.lower()
    if name == "pyproject.toml":
        yield from _pyproject(text)
    elif name == "package.json":
        yield from _package_json(text)
    elif name == "cargo.toml":
        yield from _cargo(text)
    elif name in {"setup.cfg", "tox.ini"}:
        yield from _ini(text)
    elif name == "go.mod":
        if re.findall(r"\breplace\b|\bexclude\b", text.new) != re.findall(r"\breplace\b|\bexclude\b", text.old):
            yield text.finding("foreign-source", "go.mod replaces a module")
    elif kinds.is_checker_config(text.path):
        yield text.finding("checker-config", f"{text.name} configures a check; changing it needs a person")
    elif kinds.is_allow_list(text.path) and not is_requirements(text.path):
        yield text.finding("checker-config", f"{text.name} reads like a list of exceptions")
    elif kinds.is_build_script(text.path) or (text.old.startswith("#!") and text.suffix in {"", ".sh"}):
        yield from _script(text)
    elif text.new.startswith("#!") and not _SHEBANG.match(text.new):
        yield text.finding("build-script", "an unusual interpreter", line=1)


def means_the_same(text: ChangedText) -> bool:
    """Whether both sides are the same data in another layout. False where the format is unknown or broken."""
    if text.is_new or text.is_deleted:
        return False
    try:
        if text.suffix in {".json", ".jsonc", ".webmanifest"} or text.name in {".eslintrc", ".prettierrc"}:
            return bool(json.loads(text.old) == json.loads(text.new))
        if text.suffix == ".toml":
            return tomllib.loads(text.old) == tomllib.loads(text.new)
        if text.suffix in {".yml", ".yaml"}:
            return _yaml_tokens(text.old) == _yaml_tokens(text.new)
    except (ValueError, yaml.YAMLError, RecursionError):
        return False
    return text.old.split() == text.new.split() and text.suffix in {".cfg", ".ini", ".txt", ""} and "\t" not in text.old


def _yaml_tokens(content: str) -> list[object]:
    """The document's structure without comments and layout; anchors and tags stay what they are."""
    events = yaml.parse(content, Loader=yaml.SafeLoader)
    return [
        (type(event).__name__, *(getattr(event, name, None) for name in ("value", "tag", "anchor", "implicit")))
        for event in events
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent)
    ]


def _toml(content: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(content)
    except (ValueError, RecursionError):
        return None


def _table(data: object, key: str) -> Mapping[str, Any]:
    value = data.get(key) if isinstance(data, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _changed_keys(old: object, new: object) -> list[str]:
    before = old if isinstance(old, Mapping) else {}
    after = new if isinstance(new, Mapping) else {}
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _pyproject(text: ChangedText) -> Iterator[Finding]:
    old, new = _toml(text.old), _toml(text.new)
    if old is None or new is None:
        yield text.finding("checker-config", "pyproject.toml cannot be read, so the change cannot be judged")
        return
    before, after = _table(old, "tool"), _table(new, "tool")
    for tool in _changed_keys(before, after):
        if tool in _PACKAGING:
            continue
        keys = _changed_keys(before.get(tool), after.get(tool))
        if tool not in _MANAGERS or set(keys) - _MANAGERS[tool]:
            yield text.finding("checker-config", f"[tool.{tool}] changes ({', '.join(keys)[:200]})")
    for key in _changed_keys(old.get("project"), new.get("project")):
        if key in _PROJECT_PROMISES:
            yield text.finding("project-promise", f"project.{key} changes")
    for key in _changed_keys(old, new):
        if key not in {"tool", "project", "build-system", "dependency-groups"}:
            yield text.finding("checker-config", f"[{key}] changes")
    backends = [{**_table(side, "build-system"), "requires": None} for side in (old, new)]
    if len(backends[0]) > 1 and backends[0] != backends[1]:
        yield text.finding("project-promise", "the build backend changes")


def _package_json(text: ChangedText) -> Iterator[Finding]:
    try:
        old, new = json.loads(text.old or "{}"), json.loads(text.new or "{}")
    except (ValueError, RecursionError):
        yield text.finding("checker-config", "package.json cannot be read, so the change cannot be judged")
        return
    for key in _changed_keys(old, new):
        if key == "scripts":
            yield from _scripts(text, _table(old, "scripts"), _table(new, "scripts"))
        elif key not in _PACKAGE_JSON_FREE:
            yield text.finding("checker-config", f"{key!r} in package.json changes")
    foreign = npm_foreign(text.new) - npm_foreign(text.old)
    for name in sorted(foreign):
        yield text.finding("foreign-source", f"the package {canonical(name)!r} comes from outside the registry")


def _scripts(text: ChangedText, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Finding]:
    for name in _changed_keys(before, after):
        for why in newly_neutralised(str(before.get(name, "")), str(after.get(name, ""))):
            yield text.finding("command-neutralised", f"script {name!r}: {why}")
        yield text.finding("build-script", f"script {name!r} changes")


def _cargo(text: ChangedText) -> Iterator[Finding]:
    old, new = _toml(text.old), _toml(text.new)
    if old is None or new is None:
        yield text.finding("checker-config", "Cargo.toml cannot be read, so the change cannot be judged")
        return
    for key in _changed_keys(old, new):
        changed = _changed_keys(old.get(key), new.get(key))
        if key == "workspace" and set(changed) <= {"dependencies"}:
            continue
        if key == "package" and set(changed) <= {"version", "description", "edition"}:
            continue
        if key not in _CARGO_FREE:
            yield text.finding("checker-config", f"[{key}] in Cargo.toml changes")
    sources = re.compile(r"\b(git|path|registry)\s*=")
    if len(sources.findall(text.new)) > len(sources.findall(text.old)):
        yield text.finding("foreign-source", "a crate comes from outside the registry")


def _ini(text: ChangedText) -> Iterator[Finding]:
    """setup.cfg and tox.ini: [metadata] and [options] are packaging, everything else runs or checks."""
    try:
        old, new = _sections(text.old), _sections(text.new)
    except ConfigError:
        yield text.finding("checker-config", f"{text.name} cannot be read, so the change cannot be judged")
        return
    for section in _changed_keys(old, new):
        if text.name.lower() == "setup.cfg" and (section == "metadata" or section.partition(".")[0] == "options"):
            if section == "options.entry_points" or {
                "license",
                "license_files",
                "python_requires",
            }.intersection(_changed_keys(old.get(section), new.get(section))):
                yield text.finding("project-promise", f"[{section}] changes what the project promises")
            continue
        yield text.finding("checker-config", f"[{section}] changes")


def _sections(content: str) -> dict[str, dict[str, str]]:
    parser = ConfigParser(interpolation=None, strict=False, default_section="\0")
    parser.read_string(content)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _script(text: ChangedText) -> Iterator[Finding]:
    """Scripts run the checks, so what they do is a person's to change; their layout and comments are not."""
    first_old, first_new = text.old.partition("\n")[0], text.new.partition("\n")[0]
    if first_new.startswith("#!") and first_new != first_old and not _SHEBANG.match(first_new):
        yield text.finding("build-script", "an unusual interpreter", line=1)
    old, new = _commands(text.old), _commands(text.new)
    if old == new:
        return
    for why in newly_neutralised("\n".join(old), "\n".join(new)):
        yield text.finding("command-neutralised", why)
    for tool in lost_checks("\n".join(old), "\n".join(new)):
        yield text.finding("command-neutralised", f"{tool} is no longer called")
    yield text.finding("build-script", f"{text.name} does something else")


def _commands(content: str) -> list[str]:
    lines = (line.strip() for line in content.splitlines())
    return [" ".join(line.split()) for line in lines if line and not line.startswith(("#", "//"))]

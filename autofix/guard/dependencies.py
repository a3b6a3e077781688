"""Which packages a patch adds, drops or takes from somewhere else. Pure."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigError
from typing import Any

from autofix.guard import kinds
from autofix.guard.verdict import ChangedText, Finding

_REQUIREMENTS = re.compile(
    r"(.*/)?((.*[-_.])?requirements([-_.].*)?\.(txt|in)|requirements/[^/]+\.(txt|in)|constraints.*\.txt)",
    re.I,
)
_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)$")
_FOREIGN = re.compile(
    r"^\s*(-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|--no-index|-e|--editable|--pre|--no-binary|--config)\b"
    r"|@\s*(git\+|https?:|file:|ssh:)|^\s*(git\+|https?://|file:|ssh:|\.{0,2}/)|^\s*\S+\.(whl|tar\.gz|zip)\b"
)
_FOREIGN_SPEC = re.compile(r"@\s*(git\+|https?:|file:|ssh:)|\"(git|path|url|ref|registry|file)\"\s*:")
_NPM_FOREIGN = re.compile(r"^(git|github:|gitlab:|bitbucket:|https?:|file:|link:|ssh:|npm:|[\w.-]+/[\w.-]+(#|$))")
_LOCK_FOREIGN = re.compile(r"(git\+(ssh|https?)|git@|git://|ssh://|\bfile:\.\./\.\./|codeload\.github)")
_TOOLS = frozenset(
    {
        "pytest",
        "ruff",
        "black",
        "mypy",
        "flake8",
        "pylint",
        "isort",
        "bandit",
        "coverage",
        "pyright",
        "pip-audit",
        "safety",
    }
    | {
        "eslint",
        "prettier",
        "typescript",
        "jest",
        "vitest",
        "mocha",
        "detect-secrets",
        "pip-licenses",
        "tox",
        "nox",
    }
)
_NPM_TABLES = (
    "dependencies",
    "devDependencies",
    "peerDependencies",
    "optionalDependencies",
    "overrides",
    "resolutions",
)

Packages = dict[str, str]  # canonical name -> all of its requirements, as text


def is_requirements(path: str) -> bool:
    return bool(_REQUIREMENTS.fullmatch(path))


def _is_constraints(path: str) -> bool:
    return path.rpartition("/")[2].lower().startswith("constraints")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower() if not name.startswith("@") else name.lower()


def check_dependencies(texts: Sequence[ChangedText], vouched: Sequence[str]) -> Iterator[Finding]:
    """New names that nobody vouches for, names that are gone, and sources other than the usual ones."""
    allowed = {canonical(name) for name in vouched}
    added: dict[str, ChangedText] = {}
    removed: dict[str, ChangedText] = {}
    for text in texts:
        if kinds.is_lock(text.path):
            if len(_LOCK_FOREIGN.findall(text.new)) > len(_LOCK_FOREIGN.findall(text.old)):
                yield text.finding("foreign-source", "the lock file takes a package from a repository or a path")
            continue
        before, after = _packages(text, text.old), _packages(text, text.new)
        if before is None or after is None:
            continue
        yield from _foreign_sources(text, before, after)
        yield from _tools_moved(text, before, after, allowed)
        if not _is_constraints(text.path):
            added |= dict.fromkeys(after.keys() - before.keys(), text)
            removed |= dict.fromkeys(before.keys() - after.keys(), text)
    for name, text in sorted(added.items()):
        if name not in allowed and name not in removed:
            yield text.finding("unvouched-package", f"nobody vouches for the package {name!r}")
    for name, text in sorted(removed.items()):
        if name not in added:
            yield text.finding("dependency-removed", f"the package {name!r} is no longer required")


def _tools_moved(text: ChangedText, before: Packages, after: Packages, allowed: set[str]) -> Iterator[Finding]:
    for name in sorted(_TOOLS & before.keys() & after.keys() - allowed):
        if re.sub(r"\s", "", before[name]) != re.sub(r"\s", "", after[name]):
            yield text.finding("checker-version", f"another version of {name} may check something else")


def _foreign_sources(text: ChangedText, before: Packages, after: Packages) -> Iterator[Finding]:
    if is_requirements(text.path):
        for number, line in text.added_lines:
            if _FOREIGN.search(line):
                yield text.finding("foreign-source", "a package comes from outside the index", line=number)
        return
    for name, spec in after.items():
        if spec != before.get(name) and _FOREIGN_SPEC.search(spec):
            yield text.finding("foreign-source", f"the package {name!r} comes from outside the index")


def _packages(text: ChangedText, content: str) -> Packages | None:
    """What one side of a manifest requires; None where the file is no manifest or cannot be read."""
    name = text.name.lower()
    if is_requirements(text.path):
        return _from_lines(content.replace("\\\n", " ").splitlines())
    try:
        if name == "pyproject.toml":
            return _from_pyproject(tomllib.loads(content))
        if name == "package.json":
            return _from_package_json(json.loads(content or "{}"))
        if name == "cargo.toml":
            return _from_cargo(tomllib.loads(content))
        if name == "pipfile":
            tables = tomllib.loads(content)
            return _named({**_table(tables, "packages"), **_table(tables, "dev-packages")})
        if name == "setup.cfg":
            return _from_setup_cfg(content)
    except (ValueError, ConfigError, RecursionError):
        return None
    if name == "setup.py":
        return _from_setup_py(content)
    return _from_go_mod(content) if name == "go.mod" else None


def _from_lines(lines: Sequence[object]) -> Packages:
    found: Packages = {}
    for line in lines:
        match = _NAME.match(re.sub(r"(^|\s)#.*", "", line)) if isinstance(line, str) else None
        if match:
            name = canonical(match[1])
            found[name] = f"{found.get(name, '')} {match[2].partition(' --')[0].strip()}"
    return found


def _table(data: object, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _named(table: Mapping[str, Any]) -> Packages:
    return {canonical(name): json.dumps(spec, sort_keys=True, default=str) for name, spec in table.items()}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _from_pyproject(data: Mapping[str, Any]) -> Packages:
    lines = _list(_table(data, "project").get("dependencies"))
    lines = [*lines, *_list(_table(data, "build-system").get("requires"))]
    for table in (_table(data, "project", "optional-dependencies"), _table(data, "dependency-groups")):
        for group in table.values():
            lines += _list(group)
    for group in _table(data, "tool", "pdm", "dev-dependencies").values():
        lines += _list(group)
    uv = _table(data, "tool", "uv")
    for key in ("dev-dependencies", "override-dependencies"):
        lines += _list(uv.get(key))
    found = _from_lines(lines)
    poetry = _table(data, "tool", "poetry")
    tables = [_table(poetry, "dependencies"), _table(poetry, "dev-dependencies")]
    tables += [_table(group, "dependencies") for group in _table(poetry, "group").values()]
    for table in tables:
        found |= _named({name: spec for name, spec in table.items() if name != "python"})
    return found


def _from_package_json(data: object) -> Packages:
    found: Packages = {}
    for key in _NPM_TABLES:
        for name, spec in _table(data, key).items():
            found[name.lower()] = f"{found.get(name.lower(), '')} {spec}"
    return found


def npm_foreign(content: str) -> set[str]:
    """The packages of a package.json that come from a repository, an address or a path."""
    try:
        data = json.loads(content or "{}")
    except (ValueError, RecursionError):
        return set()
    return {
        name
        for key in _NPM_TABLES
        for name, spec in _table(data, key).items()
        if isinstance(spec, str) and _NPM_FOREIGN.match(spec)
    }


def _from_cargo(data: Mapping[str, Any]) -> Packages:
    found: Packages = {}
    for root in (data, _table(data, "workspace"), *_table(data, "target").values()):
        for key in ("dependencies", "dev-dependencies", "build-dependencies"):
            found |= _named(_table(root, key))
    return found


def _from_setup_cfg(content: str) -> Packages:
    parser = ConfigParser(interpolation=None)
    parser.read_string(content)
    lines = [line for _, line in _setup_cfg_requirements(parser)]
    return _from_lines(lines)


def _setup_cfg_requirements(parser: ConfigParser) -> Iterator[tuple[str, str]]:
    for section in parser.sections():
        for key, value in parser.items(section):
            wanted = section == "options" and key in {"install_requires", "tests_require", "setup_requires"}
            if wanted or section == "options.extras_require":
                yield from ((key, line) for line in re.split(r"[\n;]", value) if line.strip())


def _from_setup_py(content: str) -> Packages:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    lines: list[object] = []
    for node in ast.walk(tree):
        wanted = isinstance(node, ast.keyword) and node.arg and node.arg.endswith(("_requires", "_require"))
        assigned = isinstance(node, ast.Assign) and "require" in ast.dump(node.targets[0]).lower()
        if wanted or assigned:
            value = node.value  # type: ignore[attr-defined]  # keyword or Assign, both have one
            lines += [child.value for child in ast.walk(value) if isinstance(child, ast.Constant)]
    return _from_lines(lines)


def _from_go_mod(content: str) -> Packages:
    found: Packages = {}
    for line in content.splitlines():
        if len(line) > 500:  # no module has such a name
            continue
        match = re.match(r"\s*(?:(require|replace)\s+)?([\w.-]+\.[\w.-]+/\S+|[\w.-]+\.[a-z]+)\s+(?:=>\s*)?(\S+)", line)
        if match:
            key = f"{match[2]} replaced" if "=>" in line else match[2]
            found[key.lower()] = match[3]
    return found

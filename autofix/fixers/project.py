"""Careful reading of a workspace: whatever a project holds, these return a value or nothing, and never raise."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autofix.fixers.shell import SimpleCommand, parse
from autofix.fixers.tables import words

MAX_FILE = 1024 * 1024
MAX_FILES = 20_000
SKIPPED = words(
    ".git .hg .svn .venv venv env .tox .nox node_modules site-packages __pycache__ build dist .eggs .cache "
    ".mypy_cache .ruff_cache .pytest_cache target vendor bower_components"
)
_SHELLS = frozenset(("bash", "sh", "dash", "zsh"))
Rules = dict[str, tuple[list[str], list[str]]]  # make target: what it needs, its recipe
_NODE_RUNNERS = frozenset(("npm", "pnpm", "yarn", "bun"))
_MAX_TARGETS = 100  # also bounds the recursion
_EXPANSIONS = 3  # how deep `make lint` -> `npm run lint` -> `./lint.sh` is followed


def inside(root: Path, path: str | Path) -> Path | None:
    """`path` as a file below `root`, links followed; None where it leads elsewhere or is no file."""
    try:
        full = (root / path).resolve()
        return full if full.is_relative_to(root.resolve()) and full.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def read(root: Path, path: str | Path) -> str | None:
    """The text of a project file with its line endings as they are; None where it cannot be read as UTF-8."""
    full = inside(root, path)
    try:
        if full is None or full.stat().st_size > MAX_FILE:
            return None
        return full.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write(root: Path, path: str | Path, text: str) -> None:
    """Write a project file, through a link where it is one, with its mode kept."""
    (inside(root, path) or root / path).write_bytes(text.encode("utf-8"))


def read_toml(root: Path, path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read(root, path) or "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def read_json(root: Path, path: str | Path) -> dict[str, Any]:
    try:
        data = json.loads(read(root, path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def read_ini(root: Path, path: str | Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(read(root, path) or "")
    except configparser.Error:
        parser.clear()
    return parser


def table(data: object, *keys: str) -> dict[str, Any]:
    """The mapping at `keys`, or an empty one where the document has something else there."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return dict(data) if isinstance(data, Mapping) else {}


def texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def files(root: Path, *suffixes: str) -> Iterator[str]:
    """Relative paths of the project's own files, environments and build products left out; at most MAX_FILES."""
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
        )
        for name in sorted(names):
            count += 1
            if count > MAX_FILES:
                return
            if not suffixes or name.endswith(suffixes):
                yield os.path.relpath(os.path.join(folder, name), root)


def stamps(root: Path) -> dict[str, tuple[int, int, int]]:
    """What each project file looks like from outside, to see whether a command changed any."""
    seen = {}
    for path in files(root):
        try:
            status = os.lstat(root / path)
        except OSError:
            continue
        seen[path] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return seen


def expand(root: Path, run: str, cwd: str = ".") -> list[str]:
    """The bash texts that a step's command comes to: itself, then the npm scripts, make recipes and scripts it runs."""
    texts_found, pending = [run], [(run, 0)]
    while pending:
        text, depth = pending.pop(0)
        if depth >= _EXPANSIONS:
            continue
        for command in parse(text):
            moves = [part for part in command.before if part.startswith("cd ")]
            for found in _behind(root, _joined(cwd, moves), command):
                inner = " && ".join((*moves, found))
                if inner not in texts_found:
                    texts_found.append(inner)
                    pending.append((inner, depth + 1))
    return texts_found


def _joined(cwd: str, moves: list[str]) -> str:
    for move in moves:
        cwd = os.path.normpath(os.path.join(cwd, move[3:].strip("'\"")))
    return cwd


def _behind(root: Path, cwd: str, command: SimpleCommand) -> list[str]:
    values = command.values
    plain = [value for value in values[1:] if not value.startswith("-")]
    folder = root / cwd
    if command.name in _NODE_RUNNERS:
        return _npm_script(root, folder, values[1:])
    if command.name in ("make", "gmake"):
        return _made(root, folder, command)
    if command.name in _SHELLS:
        flag = next((at for at, value in enumerate(values) if re.fullmatch(r"-[a-z]*c", value)), len(values))
        if values[flag + 1 :]:
            return [values[flag + 1]]
    path = plain[0] if command.name in _SHELLS and plain else values[0]
    if "/" in path or path.endswith(".sh"):
        script = read(root, folder / path)
        if script and (path.endswith(("sh", "bash")) or "sh" in script.split("\n", 1)[0][:40]):
            return [script]
    return []


def _npm_script(root: Path, folder: Path, arguments: list[str]) -> list[str]:
    """What `npm [--prefix folder] run NAME [-- arguments]` runs; npm hands on what stands behind `--`."""
    words, moved, plain = iter(arguments), "", list[str]()
    for word in words:
        if word == "--":
            break
        if word in ("--prefix", "--cwd", "--dir", "-C", "--filter", "--workspace", "-w"):
            value = next(words, "")
            moved = value if word in ("--prefix", "--cwd", "--dir", "-C") else moved
        elif not word.startswith("-"):
            plain.append(word)
    more = "".join(f" {shlex.quote(word)}" for word in words)
    scripts = table(read_json(root, folder / moved / "package.json"), "scripts")
    script = scripts.get(next((word for word in plain if word not in ("run", "run-script")), ""))
    if not isinstance(script, str):
        return []
    move = f"cd {shlex.quote(moved)} && " if moved else ""
    return [f'{move}export PATH="$PWD/node_modules/.bin:$PATH" && {script}{more}']


def _made(root: Path, folder: Path, command: SimpleCommand) -> list[str]:
    """What `make [-C folder] [-f file] [NAME=value] [target]` runs."""
    words, moved, file = iter(command.values[1:]), "", ""
    targets, given = list[str](), dict[str, str]()
    for word in words:
        if word in ("-C", "--directory"):
            moved = next(words, "")
        elif word in ("-f", "--file", "--makefile"):
            file = next(words, "")
        elif "=" in word and not word.startswith("-"):
            name, _, value = word.partition("=")
            given[name] = value
        elif not word.startswith("-"):
            targets.append(word)
    names = (file,) if file else ("GNUmakefile", "makefile", "Makefile")
    text = next((found for name in names if (found := read(root, folder / moved / name))), "")
    weak = dict(word.split("=", 1) for word in command.assignments if "+=" not in word)
    lines = _recipes(text, targets, given, weak)
    return [f"cd {shlex.quote(moved)} && {line}" for line in lines] if moved else lines


def _recipes(makefile: str, targets: list[str], given: dict[str, str], weak: dict[str, str]) -> list[str]:
    """The recipe lines, each its own shell, of the targets and of what they need; only plain variables are expanded.

    `given` are the command line's variables, which win; `weak` those of the environment, which yield to all but `?=`.
    """
    rules: Rules = {}
    variables = dict(weak)
    current: list[str] = []
    for line in makefile.replace("\\\n", " ").splitlines():
        if line.startswith("\t"):
            current.append(line.strip().lstrip("@-+"))
        elif "=" in line and ":" not in line.split("=", 1)[0].rstrip(":?+"):
            name, _, value = line.partition("=")
            if not (name.endswith("?") and name.rstrip(" ?") in variables):
                variables[name.rstrip(" :?+").removeprefix("export ")] = value.strip()
        elif ":" in line and not line.startswith(("#", ".")):
            names, _, needs = line.partition(":")
            current = []
            for name in names.split():
                rules[name] = (needs.split("#")[0].split(), current)
    lines, seen = list[str](), set[str]()
    for target in targets or list(rules)[:1]:
        _collect(rules, target, lines, seen)
    for _ in range(_EXPANSIONS):  # variables are made of variables
        for name, value in (variables | given).items():
            lines = [line.replace(f"$({name})", value).replace(f"${{{name}}}", value) for line in lines]
    return [line.replace("$(MAKE)", "make").replace("$$", "$") for line in lines]


def _collect(rules: Rules, target: str, lines: list[str], seen: set[str]) -> None:
    """Append the recipe of a target after those of what it needs."""
    if target in rules and target not in seen and len(seen) < _MAX_TARGETS:
        seen.add(target)
        for needed in rules[target][0]:
            _collect(rules, needed, lines, seen)
        lines += rules[target][1]

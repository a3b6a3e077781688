"""Which installed distribution a failure blames, and what it no longer has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from autofix.fixers import names
from autofix.fixers.installs import built_here, owner_of_file, owner_of_module, versions

_IMPORT_NAME = re.compile(
    r"cannot import name '([\w.]+)' from (?:partially initialized module )?'([\w.]+)'"
    r"(?: \((?:most likely[^)]*\) \()?([^)\n]*)\))?"
)
_ATTRIBUTE = re.compile(r"AttributeError: (?:partially initialized )?module '([\w.]+)' has no attribute '(\w+)'")
_NO_MODULE = re.compile(r"No module named '?([A-Za-z_][\w.]*)'?")
_FRAME = re.compile(r"((?:/[^\s\":]*|[\w.-][^\s\":]*)site-packages/[^\s\":]+\.py)(?:\"|:\d)")
_BUILD = re.compile(
    r"Failed to build|build_wheel|prepare_metadata_for_build|Getting requirements to build|"
    r"setup\.py (?:egg_info|bdist_wheel)|build backend returned an error|metadata-generation-failed"
)
_PYTEST_MOVED = re.compile(r"PytestRemovedIn\d+Warning|Fixture \"\w+\" called directly|no longer supported in pytest")
_BUILD_WORDS = {
    "use_2to3 is invalid": "setuptools",
    "install_layout": "setuptools",
    "'cython_sources'": "cython",
    "No module named 'pkg_resources'": "setuptools",
    "setuptools.command": "setuptools",
    "setuptools/": "setuptools",
    "Multiple top-level packages discovered": "setuptools",
    "Cython.Compiler": "cython",
    "poetry/core": "poetry-core",
    "hatchling/": "hatchling",
    "flit_core/": "flit-core",
    "numpy/distutils": "numpy",
}
_ENGINES = frozenset(("pytest", "pluggy", "iniconfig"))


@dataclass(frozen=True, slots=True)
class Suspect:
    """A distribution that may have moved. With `module` (and `attribute`) its releases can be asked directly."""

    distribution: str
    module: str | None = None
    attribute: str | None = None
    building: bool = False  # it failed as a build requirement, in an environment of its own


def find_suspects(root: Path, env: str | None, log: str) -> list[Suspect]:
    """Whom to blame, the most likely first; empty where the log blames no installed distribution."""
    found = list(_by_build(log)) or [*_by_symbol(root, env, log), *_by_frame(root, env, log)]
    unique: dict[tuple[str, str | None], Suspect] = {}
    own = built_here(root, env)
    for suspect in found:
        if suspect.distribution in own:
            continue  # the project itself
        unique.setdefault((suspect.distribution, suspect.module), suspect)
    return list(unique.values())


def _by_build(log: str) -> Iterator[Suspect]:
    if not _BUILD.search(log):
        return
    if "No module named 'pkg_resources'" in log:
        yield Suspect("setuptools", "pkg_resources", building=True)
    for name, module in (("setuptools", _ATTRIBUTE.search(log)),):
        if module and module[1].split(".")[0] == name:
            yield Suspect(name, module[1], module[2], building=True)
    for words, name in _BUILD_WORDS.items():
        if words in log:
            yield Suspect(name, building=True)


def _by_symbol(root: Path, env: str | None, log: str) -> Iterator[Suspect]:
    present = versions(root, env)
    for attribute, module, path in _IMPORT_NAME.findall(log):
        owner = owner_of_file(root, env, path) or _installed_owner(root, env, module)
        if owner:
            yield Suspect(owner, module, attribute)
    for module, attribute in _ATTRIBUTE.findall(log):
        owner = _installed_owner(root, env, module)
        if owner:
            yield Suspect(owner, module, attribute)
    for module in _NO_MODULE.findall(log):
        known = names.distribution_for(module)
        owner = _installed_owner(root, env, module.split(".")[0])
        if known and canonicalize_name(known) in present:
            owner = canonicalize_name(known)
        if owner:
            yield Suspect(owner, module)
    if _PYTEST_MOVED.search(log) and "pytest" in present:
        yield Suspect("pytest")


def _installed_owner(root: Path, env: str | None, module: str) -> str | None:
    return None if names.is_standard(module) else owner_of_module(root, env, module)


def _by_frame(root: Path, env: str | None, log: str) -> Iterator[Suspect]:
    """The distributions in the traceback, innermost first; the test runner only where nothing else is there."""
    owners = dict.fromkeys(owner_of_file(root, env, path) for path in reversed(dict.fromkeys(_FRAME.findall(log))))
    plain = [owner for owner in owners if owner and owner not in _ENGINES]
    for owner in plain or [owner for owner in owners if owner]:
        yield Suspect(owner)


def has_hard_evidence(root: Path, env: str | None, log: str) -> bool:
    """Whether the log names what moved, or its last frame lies in an installed package."""
    return bool(next(_by_build(log), None) or next(_by_symbol(root, env, log), None)) or _ends_in_package(log)


def _ends_in_package(log: str) -> bool:
    frames = re.findall(r'(?m)^(?:\s*File "([^"\n]+)", line \d+|(\S+\.py):\d+:)', log)
    last = next((one or other for one, other in reversed(frames)), "")
    return "site-packages/" in last and not re.search(r"site-packages/(?:_pytest|pytest|pluggy)/", last)

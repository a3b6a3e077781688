"""Which distribution brings an import, a command, or a pytest plugin: maintained tables, read once."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import resources

from packaging.utils import canonicalize_name

_MISSING_FIXTURE = re.compile(r"fixture '(\w+)' not found")
_UNKNOWN_OPTIONS = re.compile(r"error: unrecognized arguments?: (.+)")
_ASYNC_UNSUPPORTED = "async def functions are not natively supported"


def _table(name: str) -> list[tuple[str, str]]:
    text = resources.files("autofix.fixers").joinpath("data", name).read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(left.strip(), right.strip()) for left, _, right in (line.partition("=") for line in lines)]


@cache
def _distributions() -> dict[str, str]:
    brought: dict[str, str] = {}
    for name, modules in _table("python_modules.txt"):
        for module in modules.split() or [name.lower().replace("-", "_")]:
            brought.setdefault(module, name)
    return brought


@cache
def _commands() -> dict[str, str]:
    return dict(_table("python_tools.txt"))


@cache
def _plugins() -> dict[str, str]:
    return dict(_table("pytest_plugins.txt"))


@cache
def _stubs() -> dict[str, str]:
    return {module: name for name, modules in _table("python_stubs.txt") for module in modules.split()}


def stubs_for(module: str) -> str | None:
    """The well-known stub distribution that types a module."""
    parts = module.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_stubs()[prefix] for prefix in prefixes if prefix in _stubs()), None)


def known_stubs(name: str) -> bool:
    return canonicalize_name(name) in {canonicalize_name(known) for known in _stubs().values()}


def distribution_for(module: str) -> str | None:
    """The distribution that brings a module: the longest listed prefix decides, so `google.cloud.storage` is found."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        known = _distributions().get(".".join(parts[:length]))
        if known:
            return known
    return None


def distribution_for_command(command: str) -> str | None:
    """The well-known Python distribution that brings a command of this name."""
    known = {canonicalize_name(name): name for name in _distributions().values()}
    return _commands().get(command) or known.get(canonicalize_name(command))


def known_distribution(name: str) -> bool:
    return canonicalize_name(name) in {canonicalize_name(known) for known in _distributions().values()}


def is_standard(module: str) -> bool:
    return module.split(".")[0] in sys.stdlib_module_names


def missing_pytest_plugins(log: str) -> list[str]:
    """The plugins whose fixtures or options pytest misses, by its own words."""
    wanted = [f"fixture {name}" for name in _MISSING_FIXTURE.findall(log)]
    for options in _UNKNOWN_OPTIONS.findall(log):
        wanted += [f"option {option.split('=')[0]}" for option in options.split() if option.startswith("-")]
    found = [_plugins()[key] for key in wanted if key in _plugins()]
    if _ASYNC_UNSUPPORTED in log:
        found.append("pytest-asyncio")
    return list(dict.fromkeys(found))

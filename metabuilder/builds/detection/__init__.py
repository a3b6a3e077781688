"""What each ecosystem's files say about how a project is installed, checked and tested. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass, replace
from typing import Any

from metabuilder.builds.plans import Effects, StepKind, StepSpec

Files = Mapping[str, str | None]  # path -> text; None where the file is too large, or not text


@dataclass(frozen=True, slots=True)
class ReasonedStep:
    """A step and why it is in the plan."""

    step: StepSpec
    reason: str


def step(
    name: str,
    kind: StepKind,
    run: str,
    reason: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = ".",
    effects: Effects | None = None,
) -> ReasonedStep:
    spec = StepSpec(name=name, kind=kind, run=run, env=env or {}, cwd=cwd)
    if effects is not None:
        spec = replace(spec, effects=effects)
    return ReasonedStep(spec, reason)


def text_of(files: Files, path: str) -> str:
    return (files[path] or "") if path in files else ""


def toml_of(files: Files, path: str) -> dict[str, Any]:
    """{} where the file is absent or broken: a broken file fails in its own step, with the tool's own message."""
    try:
        return tomllib.loads(text_of(files, path))
    except ValueError:
        return {}


def json_of(files: Files, path: str) -> dict[str, Any]:
    try:
        data = json.loads(text_of(files, path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def ini_of(files: Files, path: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text_of(files, path))
    except ConfigError:
        return ConfigParser()
    return parser


def table(data: object, *keys: str) -> dict[str, Any]:
    """The nested table, or {} where it, or one on the way, is absent or of another type."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return dict(data) if isinstance(data, Mapping) else {}


def texts(value: object) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []

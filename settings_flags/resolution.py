"""Which value of a setting counts, and where it comes from (pure).

platform -> tenant -> run. A tenant may set anything within the platform's ceilings. A run tightens freely and
loosens only up to its tenant's `run_ceiling`. What was stored before a limit came down is clamped when read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metabuilder.builds.errors import MetabuilderError
from settings_flags.registry import (
    SETTINGS,
    InvalidSettingValue,
    Level,
    Setting,
    SettingOutOfRange,
    SettingValues,
    UnknownSetting,
    default_for,
)

RUN_CEILING = "run_ceiling"  # stands beside the settings in what a tenant may change


@dataclass(frozen=True, kw_only=True)
class PlatformSettings:
    """What the environment says: the values, which of them were set explicitly, and the ceilings."""

    values: Mapping[str, Any]
    explicit: frozenset[str] = frozenset()
    ceilings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EffectiveSettings(SettingValues):
    """The values that count, with the level each came from and a note where one was held back by a limit."""

    sources: Mapping[str, Level] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str) -> Level:
        return self.sources.get(name, Level.DEFAULT)

    def as_dict(self) -> dict[str, Any]:
        """Return every value as JSON knows it, by name."""
        return {name: json_value(getattr(self, name)) for name in SETTINGS}

    def governing_hash(self) -> str:
        """Return a hash of the values a gate is bound to; equal exactly when none of them has changed."""
        governing = {name: json_value(getattr(self, name)) for name, setting in SETTINGS.items() if setting.governs}
        governing["protected_paths"] = sorted(self.protected_paths)
        return hashlib.sha256(json.dumps(governing, sort_keys=True).encode()).hexdigest()


def platform_from(environment: str, values: Mapping[str, Any], ceilings: Mapping[str, Any]) -> PlatformSettings:
    """Return the platform's settings from explicit, parsed values and ceilings over the defaults.

    A default above a lowered ceiling is clamped; an explicit value above it raises SettingOutOfRange.
    """
    all_ceilings = {name: ceilings.get(name, setting.ceiling) for name, setting in SETTINGS.items()}
    for name, value in values.items():
        _check_limit(SETTINGS[name], value, all_ceilings[name], "the platform's ceiling")
    defaults = {
        name: setting.clamp(default_for(setting, environment), all_ceilings[name]) for name, setting in SETTINGS.items()
    }
    return PlatformSettings(values=defaults | dict(values), explicit=frozenset(values), ceilings=all_ceilings)


def resolve(
    platform: PlatformSettings,
    tenant: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    *,
    run_ceiling: Mapping[str, Any] | None = None,
) -> EffectiveSettings:
    """Return the value of every setting. `tenant` and `run` hold overrides; None or missing inherits."""
    values: dict[str, Any] = {}
    sources: dict[str, Level] = {}
    notes: dict[str, str] = {}
    for name, setting in SETTINGS.items():
        value = platform.values[name]
        source = Level.PLATFORM if name in platform.explicit else Level.DEFAULT
        stored = _stored(setting, Level.TENANT, tenant, notes)
        limit = platform.ceilings[name]
        if stored is not None:
            value, source = _within(setting, stored, limit, "the platform's ceiling", notes), Level.TENANT
        stored = _stored(setting, Level.RUN, run, notes)
        if stored is not None:
            limit = run_limit(setting, platform, value, run_ceiling)
            value, source = _within(setting, stored, limit, "what its tenant allows a run", notes), Level.RUN
        values[name], sources[name] = value, source
    return EffectiveSettings(**values, sources=sources, notes=notes)


def run_limit(
    setting: Setting,
    platform: PlatformSettings,
    tenant_value: Any,
    run_ceiling: Mapping[str, Any] | None,
) -> Any:
    """Return the loosest value a run may have: its tenant's, or the run_ceiling if that is looser."""
    stored = _stored(setting, Level.TENANT, run_ceiling, {})
    if stored is None:
        return tenant_value
    return setting.clamp(setting.looser(tenant_value, stored), platform.ceilings[setting.name])


def check_tenant_changes(
    platform: PlatformSettings, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, MetabuilderError]]:
    """Return the parsed changes and, by name, why others are refused. None resets.

    `run_ceiling`, beside the settings' names, maps names to limits; an error inside it is listed as
    `run_ceiling.<name>`.
    """
    plain = {name: raw for name, raw in changes.items() if name != RUN_CEILING}
    parsed, problems = _check(plain, Level.TENANT, platform.ceilings, "the platform's ceiling")
    if RUN_CEILING in changes:
        ceiling, ceiling_problems = check_run_ceiling(platform, changes[RUN_CEILING])
        parsed[RUN_CEILING] = {name: json_value(value) for name, value in ceiling.items()}
        problems |= ceiling_problems
    return parsed, problems


def check_run_ceiling(platform: PlatformSettings, raw: object) -> tuple[dict[str, Any], dict[str, MetabuilderError]]:
    """Return a parsed run_ceiling without its null entries, and why entries of it are refused."""
    if raw is None:
        return {}, {}
    if not isinstance(raw, Mapping):
        return {}, {RUN_CEILING: InvalidSettingValue(RUN_CEILING, raw, "a mapping of settings to limits")}
    parsed, problems = _check(raw, Level.RUN, platform.ceilings, "the platform's ceiling")
    given = {name: value for name, value in parsed.items() if value is not None}
    return given, {f"{RUN_CEILING}.{name}": problem for name, problem in problems.items()}


def check_run_changes(
    platform: PlatformSettings,
    tenant: EffectiveSettings,
    run_ceiling: Mapping[str, Any] | None,
    changes: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, MetabuilderError]]:
    """Return the parsed changes and, by name, why others are refused. `tenant`: what the run inherits."""
    limits = {
        name: run_limit(setting, platform, getattr(tenant, name), run_ceiling) for name, setting in SETTINGS.items()
    }
    return _check(changes, Level.RUN, limits, "what its tenant allows a run")


def json_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check(
    changes: Mapping[Any, Any], level: Level, limits: Mapping[str, Any], whose: str
) -> tuple[dict[str, Any], dict[str, MetabuilderError]]:
    parsed: dict[str, Any] = {}
    problems: dict[str, MetabuilderError] = {}
    for name, raw in changes.items():
        setting = SETTINGS.get(name) if isinstance(name, str) else None
        try:
            if setting is None or level not in setting.levels:
                raise UnknownSetting(str(name), level)
            parsed[name] = None if raw is None else setting.parse(raw)
            if raw is not None:
                _check_limit(setting, parsed[name], limits[name], whose)
        except MetabuilderError as problem:
            problems[str(name)] = problem
    return parsed, problems


def _check_limit(setting: Setting, value: Any, limit: Any, whose: str) -> None:
    if setting.exceeds(value, limit):
        raise SettingOutOfRange(setting.name, json_value(value), json_value(limit), f"{whose} is {setting.show(limit)}")


def _stored(setting: Setting, level: Level, overrides: Mapping[str, Any] | None, notes: dict[str, str]) -> Any | None:
    """The override, or None where there is none or the stored one is no longer a value of the setting."""
    raw = (overrides or {}).get(setting.name)
    if raw is None or level not in setting.levels:
        return None
    try:
        return setting.parse(raw)
    except (InvalidSettingValue, SettingOutOfRange) as error:
        notes[setting.name] = f"the {level}'s value is ignored: {error}"
        return None


def _within(setting: Setting, value: Any, limit: Any, whose: str, notes: dict[str, str]) -> Any:
    held = setting.clamp(value, limit)
    if held != value:
        notes[setting.name] = f"{setting.show(value)} was asked for, but {whose} is {setting.show(limit)}"
    return held

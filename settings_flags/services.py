"""Reading and changing settings and kill switches. Every change is audited in its own transaction.

Who may change what is for the door that calls to check: owners and admins of the tenant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from metabuilder.audit.services import record_event
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.models import BuildRun, Tenant
from settings_flags.models import KillSwitch, RunSettings, TenantSettings
from settings_flags.platform import platform_settings
from settings_flags.registry import SETTINGS, Level, Setting
from settings_flags.resolution import (
    RUN_CEILING,
    EffectiveSettings,
    check_run_changes,
    check_tenant_changes,
    json_value,
    resolve,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

__all__ = [
    "SettingRow",
    "effective_settings",
    "engage_kill_switch",
    "engaged_kill_switch",
    "platform_settings",
    "release_kill_switch",
    "reset_tenant_settings",
    "run_settings_view",
    "set_run_settings",
    "set_tenant_settings",
    "tenant_effective_settings",
    "tenant_settings_view",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One setting as people see it. `own` is this level's override, None where the value is inherited."""

    setting: Setting
    value: Any
    source: Level
    own: Any
    inherited: Any
    inherited_from: Level
    ceiling: Any
    run_ceiling: Any
    note: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.setting.name,
            "value": json_value(self.value),
            "source": self.source.value,
            "own": json_value(self.own),
            "inherited": json_value(self.inherited),
            "inherited_from": self.inherited_from.value,
            "ceiling": json_value(self.ceiling),
            "run_ceiling": json_value(self.run_ceiling),
            "unit": self.setting.unit,
            "note": self.note,
        }


def effective_settings(run: BuildRun) -> EffectiveSettings:
    """Return what counts for a run (two queries, whatever is set)."""
    tenant = TenantSettings.objects.filter(tenant_id=run.tenant_id).first()
    own = RunSettings.objects.filter(run_id=run.pk).first()
    return resolve(
        platform_settings(), _stored(tenant), _stored(own), run_ceiling=tenant.run_ceiling if tenant else None
    )


def tenant_effective_settings(tenant: Tenant) -> EffectiveSettings:
    """Return what a run of the tenant gets if it sets nothing itself."""
    return resolve(platform_settings(), _stored(TenantSettings.objects.filter(tenant=tenant).first()))


def tenant_settings_view(tenant: Tenant) -> list[SettingRow]:
    """Return every setting of a tenant with its value, source, override, inherited value and limits."""
    platform = platform_settings()
    row = TenantSettings.objects.filter(tenant=tenant).first()
    run_ceiling = row.run_ceiling if row else {}
    return _rows(
        SETTINGS,
        _stored(row),
        resolve(platform, _stored(row)),
        resolve(platform),
        platform.ceilings,
        run_ceiling,
    )


def run_settings_view(run: BuildRun) -> list[SettingRow]:
    """Return every setting that a run may have; `ceiling` is the platform's, `run_ceiling` the tenant's."""
    tenant = TenantSettings.objects.filter(tenant_id=run.tenant_id).first()
    own = _stored(RunSettings.objects.filter(run_id=run.pk).first())
    platform, run_ceiling = platform_settings(), tenant.run_ceiling if tenant else {}
    effective = resolve(platform, _stored(tenant), own, run_ceiling=run_ceiling)
    inherited = resolve(platform, _stored(tenant))
    names = [name for name, setting in SETTINGS.items() if Level.RUN in setting.levels]
    return _rows(names, own, effective, inherited, platform.ceilings, run_ceiling)


@transaction.atomic
def set_tenant_settings(
    tenant: Tenant, changes: Mapping[str, Any], *, actor: AbstractBaseUser | None
) -> EffectiveSettings:
    """Change a tenant's settings; None resets one to inherited, `run_ceiling` (a mapping) is replaced whole.

    On UnknownSetting, InvalidSettingValue or SettingOutOfRange nothing has changed.
    """
    parsed = _accepted(check_tenant_changes(platform_settings(), changes))
    row, _ = TenantSettings.objects.select_for_update().get_or_create(tenant=tenant)
    if changed := _write(row, parsed):
        payload = {"level": Level.TENANT.value, "changes": changed}
        record_event("settings.changed", tenant=tenant, subject=tenant, actor=actor, payload=payload)
    return resolve(platform_settings(), _stored(row))


@transaction.atomic
def reset_tenant_settings(tenant: Tenant, *, actor: AbstractBaseUser | None) -> EffectiveSettings:
    """Let the tenant inherit everything."""
    return set_tenant_settings(tenant, dict.fromkeys([*SETTINGS, RUN_CEILING]), actor=actor)


@transaction.atomic
def set_run_settings(run: BuildRun, changes: Mapping[str, Any], *, actor: AbstractBaseUser | None) -> EffectiveSettings:
    """Change a run's settings; None resets one to inherited. Errors as for set_tenant_settings."""
    tenant = TenantSettings.objects.filter(tenant_id=run.tenant_id).first()
    run_ceiling = tenant.run_ceiling if tenant else {}
    inherited = resolve(platform_settings(), _stored(tenant))
    parsed = _accepted(check_run_changes(platform_settings(), inherited, run_ceiling, changes))
    row, _ = RunSettings.objects.select_for_update().get_or_create(run=run)
    if changed := _write(row, parsed):
        payload = {"level": Level.RUN.value, "changes": changed}
        record_event("settings.changed", tenant=run.tenant, subject=run, actor=actor, payload=payload)
    return resolve(platform_settings(), _stored(tenant), _stored(row), run_ceiling=run_ceiling)


def engaged_kill_switch(tenant: Tenant | None) -> KillSwitch | None:
    """Return the switch that stops the tenant's runs, everyone's before its own; None where none does."""
    keys = [KillSwitch.EVERYONE, *([tenant.pk] if tenant else [])]
    engaged = {switch.pk: switch for switch in KillSwitch.objects.filter(pk__in=keys, engaged=True)}
    return next((engaged[key] for key in keys if key in engaged), None)


def engage_kill_switch(tenant: Tenant | None, *, reason: str, actor: AbstractBaseUser | None) -> KillSwitch:
    """Stop healing at once, for a tenant or (None) for everyone. Doing it twice only updates the reason."""
    return _turn(tenant, engaged=True, reason=reason, actor=actor)


def release_kill_switch(tenant: Tenant | None, *, reason: str = "", actor: AbstractBaseUser | None) -> KillSwitch:
    return _turn(tenant, engaged=False, reason=reason, actor=actor)


@transaction.atomic
def _turn(tenant: Tenant | None, *, engaged: bool, reason: str, actor: AbstractBaseUser | None) -> KillSwitch:
    key = tenant.pk if tenant else KillSwitch.EVERYONE
    switch, _ = KillSwitch.objects.select_for_update().get_or_create(pk=key, defaults={"tenant": tenant})
    reason = reason.strip()[:500]
    if (switch.engaged, switch.reason) == (engaged, reason):
        return switch
    old = switch.engaged
    switch.engaged, switch.reason, switch.changed_by_id = engaged, reason, actor.pk if actor else None
    switch.save()
    payload = {"old": old, "new": engaged, "reason": reason}
    record_event("kill_switch.changed", tenant=tenant, subject=switch, actor=actor, payload=payload)
    return switch


def _accepted(checked: tuple[dict[str, Any], dict[str, MetabuilderError]]) -> dict[str, Any]:
    parsed, problems = checked
    for problem in problems.values():
        raise problem
    return parsed


def _write(row: TenantSettings | RunSettings, parsed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Save what differs and return it, {name: {"old", "new"}}. The caller holds the row locked."""
    changed = {}
    for name, value in parsed.items():
        old, new = getattr(row, name), json_value(value)
        if old != new:
            changed[name] = {"old": old, "new": new}
            setattr(row, name, new)
    if changed:
        row.save(update_fields=[*changed, "updated_at"])
    return changed


def _stored(row: TenantSettings | RunSettings | None) -> dict[str, Any]:
    return {} if row is None else {name: getattr(row, name) for name in SETTINGS if hasattr(row, name)}


def _rows(
    names: Iterable[str],
    own: Mapping[str, Any],
    effective: EffectiveSettings,
    inherited: EffectiveSettings,
    ceilings: Mapping[str, Any],
    run_ceiling: Mapping[str, Any],
) -> list[SettingRow]:
    return [
        SettingRow(
            setting=SETTINGS[name],
            value=getattr(effective, name),
            source=effective.source(name),
            own=own.get(name),
            inherited=getattr(inherited, name),
            inherited_from=inherited.source(name),
            ceiling=ceilings[name],
            run_ceiling=run_ceiling.get(name),
            note=effective.notes.get(name, ""),
        )
        for name in names
    ]

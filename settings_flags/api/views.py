from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metabuilder.builds.api.access import caller, run_for, tenant_for
from metabuilder.builds.models import BuildRun, Tenant
from metabuilder.builds.permissions import Action
from settings_flags import services
from settings_flags.api.changes import refuse, set_run_settings
from settings_flags.api.serializers import RunSettingsSerializer, TenantSettingsSerializer
from settings_flags.resolution import RUN_CEILING, check_tenant_changes
from settings_flags.services import SettingRow, platform_settings

CHANGES = {"application/json": {"type": "object", "additionalProperties": {}}}


class TenantSettingsView(APIView):
    @extend_schema(responses=TenantSettingsSerializer)
    def get(self, request: Request, tenant: str) -> Response:
        """Every setting of a tenant: its value, where that comes from, and how far it may be set."""
        return Response(_of_tenant(tenant_for(request, tenant)))

    @extend_schema(request=CHANGES, responses=TenantSettingsSerializer)
    def put(self, request: Request, tenant: str) -> Response:
        """Change the settings named in the body, all or none. Null inherits again; others stay as they are.

        `run_ceiling`, an object of limits by name, is replaced whole.
        """
        found = tenant_for(request, tenant, Action.SETTINGS)
        changes = _changes(request)
        _, problems = check_tenant_changes(platform_settings(), changes)
        refuse(problems)
        services.set_tenant_settings(found, changes, actor=caller(request))
        return Response(_of_tenant(found))


class RunSettingsView(APIView):
    @extend_schema(responses=RunSettingsSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """Every setting that a run may have: its value, where that comes from, and how far it may be set."""
        return Response(_of_run(run_for(request, run_id)))

    @extend_schema(request=CHANGES, responses=RunSettingsSerializer)
    def put(self, request: Request, run_id: UUID) -> Response:
        """Change the settings named in the body, all or none. Null inherits again; others stay as they are."""
        run = run_for(request, run_id, Action.SETTINGS)
        set_run_settings(run, _changes(request), caller(request))
        return Response(_of_run(run))


def _changes(request: Request) -> Mapping[str, Any]:
    if not isinstance(request.data, Mapping):
        raise ValidationError("The body is an object of settings by name.")
    return request.data


def _of_tenant(tenant: Tenant) -> dict[str, Any]:
    return {"tenant": tenant.slug, **_shown(services.tenant_settings_view(tenant))}


def _of_run(run: BuildRun) -> dict[str, Any]:
    shown = _shown(services.run_settings_view(run))
    return {"run": str(run.pk), "tenant": run.tenant.slug, **shown}


def _shown(rows: Sequence[SettingRow]) -> dict[str, Any]:
    settings = {row.setting.name: row.as_dict() for row in rows}
    ceilings = {name: row[RUN_CEILING] for name, row in settings.items() if row[RUN_CEILING] is not None}
    for row in settings.values():
        del row["name"]
    return {"settings": settings, RUN_CEILING: ceilings}

"""Changing settings for a program, which wants to know every field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from rest_framework.exceptions import ErrorDetail, ValidationError

from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.models import BuildRun
from settings_flags import services
from settings_flags.models import TenantSettings
from settings_flags.platform import platform_settings
from settings_flags.resolution import check_run_changes


def set_run_settings(run: BuildRun, changes: Mapping[str, Any], actor: User, *, path: str = "") -> None:
    """Change a run's settings, naming every field that is wrong, under `path`."""
    tenant = TenantSettings.objects.filter(tenant_id=run.tenant_id).first()
    inherited = services.tenant_effective_settings(run.tenant)
    run_ceiling = tenant.run_ceiling if tenant else {}
    _, problems = check_run_changes(platform_settings(), inherited, run_ceiling, changes)
    refuse(problems, path)
    services.set_run_settings(run, changes, actor=actor)


def set_on_creation(run: BuildRun, changes: Mapping[str, Any], actor: User) -> None:
    """For builds.api.hooks.on_run_created."""
    set_run_settings(run, changes, actor, path="settings.")


def refuse(problems: Mapping[str, MetabuilderError], path: str = "") -> None:
    if problems:
        raise ValidationError(
            {f"{path}{name}": [ErrorDetail(str(error), code=error.code)] for name, error in problems.items()}
        )

"""Settings are read here; they change on their own screen, where an edit is checked and audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from settings_flags.models import KillSwitch, RunSettings, TenantSettings

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class _ReadOnly(_ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(TenantSettings)
class TenantSettingsAdmin(_ReadOnly):
    list_display = ("tenant", "auto_fix_enabled", "max_total_attempts", "max_per_step_attempts", "updated_at")
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug",)


@admin.register(RunSettings)
class RunSettingsAdmin(_ReadOnly):
    list_display = ("run", "auto_fix_enabled", "max_total_attempts", "max_per_step_attempts", "updated_at")
    list_select_related = ("run",)


@admin.register(KillSwitch)
class KillSwitchAdmin(_ReadOnly):
    list_display = ("__str__", "engaged", "reason", "changed_by", "changed_at")
    list_select_related = ("tenant", "changed_by")
    list_filter = ("engaged",)

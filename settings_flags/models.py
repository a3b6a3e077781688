from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from metabuilder.builds.models import BuildRun, Tenant


class _Overrides(models.Model):
    """One nullable column per setting of the registry that a run may have; null means "inherit"."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    auto_fix_enabled = models.BooleanField(null=True, blank=True)
    autonomy = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001 - null: inherit
    max_total_attempts = models.IntegerField(null=True, blank=True)
    max_per_step_attempts = models.IntegerField(null=True, blank=True)
    backoff_cap_seconds = models.FloatField(null=True, blank=True)
    retry_after_cap_seconds = models.FloatField(null=True, blank=True)
    max_trials_per_attempt = models.IntegerField(null=True, blank=True)
    max_fix_seconds = models.FloatField(null=True, blank=True)
    run_deadline_seconds = models.FloatField(null=True, blank=True)
    delivery = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001 - null: inherit
    guard_action = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001 - null: inherit
    protected_paths = models.JSONField(null=True, blank=True)
    gate_expiry_hours = models.FloatField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class TenantSettings(_Overrides):
    """What a tenant sets apart from the platform. Only settings_flags.services writes it."""

    tenant = models.OneToOneField(Tenant, models.CASCADE, related_name="overrides")
    self_approval = models.BooleanField(null=True, blank=True)
    run_ceiling = models.JSONField(default=dict, blank=True)  # how far a run may loosen a setting, by name

    class Meta:
        db_table = "tenant_settings"
        verbose_name_plural = "tenant settings"

    def __str__(self) -> str:
        return f"settings of {self.tenant}"


class RunSettings(_Overrides):
    """What a run sets apart from its tenant. Only settings_flags.services writes it."""

    run = models.OneToOneField(BuildRun, models.CASCADE, related_name="overrides")

    class Meta:
        db_table = "run_settings"
        verbose_name_plural = "run settings"

    def __str__(self) -> str:
        return f"settings of {self.run}"


class KillSwitch(models.Model):
    """Stops all healing at once, above every setting. Only settings_flags.services writes it.

    The primary key is the tenant's, or EVERYONE, so that there is one switch for each.
    """

    EVERYONE = uuid.UUID(int=0)

    id = models.UUIDField(primary_key=True, editable=False)
    tenant = models.OneToOneField(Tenant, models.CASCADE, null=True, blank=True, related_name="kill_switch")
    engaged = models.BooleanField(default=False)
    reason = models.CharField(max_length=500, blank=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "kill_switches"
        verbose_name_plural = "kill switches"

    def __str__(self) -> str:
        return f"kill switch of {self.tenant or 'everyone'}"

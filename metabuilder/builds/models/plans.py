from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import models

from metabuilder.builds.models.tenancy import Tenant
from metabuilder.builds.plans import Plan, parse_plan

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class ScaffoldPlanQuerySet(models.QuerySet["ScaffoldPlan"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> ScaffoldPlanQuerySet:
        return self.filter(tenant__memberships__user_id=user.pk) if user.pk else self.none()


class ScaffoldPlan(models.Model):
    """One immutable version of a plan. `body` is the plan as `Plan.to_json` writes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="plans")
    name = models.CharField(max_length=100)
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="versions")
    digest = models.CharField(max_length=64, blank=True, db_default="", db_index=True)
    objects = ScaffoldPlanQuerySet.as_manager()

    class Meta:
        db_table = "scaffold_plans"

    def __str__(self) -> str:
        return self.name

    def plan(self) -> Plan:
        return parse_plan(self.body)

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q

from approvals.rules import GateQuestion, GateStatus, Verdict
from metabuilder.builds.models import BuildRun, BuildStep
from metabuilder.builds.states import ENDED_RUNS

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

PENDING = Q(status=GateStatus.PENDING.value)


class ApprovalGateQuerySet(models.QuerySet["ApprovalGate"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> ApprovalGateQuerySet:
        return self.filter(run__tenant__memberships__user_id=user.pk) if user.pk else self.none()

    def pending(self) -> ApprovalGateQuerySet:
        return self.filter(PENDING)

    def due(self, now: datetime) -> ApprovalGateQuerySet:
        """Return the gates that nobody decided in time."""
        return self.pending().filter(expires_at__lte=now)

    def orphaned(self) -> ApprovalGateQuerySet:
        """Return the open gates of runs that have ended."""
        return self.pending().filter(run__status__in=ENDED_RUNS)


class ApprovalGate(models.Model):
    """One question put to people, bound to one exact action. Only transitions.move_gate writes `status`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(BuildRun, models.CASCADE, related_name="gates")
    step = models.ForeignKey(BuildStep, models.CASCADE, null=True, related_name="gates")
    status = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in GateStatus], default=GateStatus.PENDING.value
    )
    kind = models.CharField(max_length=50)  # patch, security, policy, budget, data_at_risk …
    title = models.CharField(max_length=300)
    body = models.TextField(blank=True)  # what failed
    evidence = models.JSONField(default=list)  # [{"number", "text", "rule"}]: the deciding log lines
    action = models.JSONField()  # what approval does: {"type", …}; presentation.py says what each type means
    action_hash = models.CharField(max_length=64)
    settings_hash = models.CharField(max_length=64)  # of the values that governed the question
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="requested_gates"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)  # null: never
    decided_at = models.DateTimeField(null=True)  # when it left pending, whoever or whatever closed it
    objects = ApprovalGateQuerySet.as_manager()

    class Meta:
        db_table = "approval_gates"
        constraints = [models.UniqueConstraint(fields=["run"], condition=PENDING, name="gate_one_pending_per_run")]
        indexes = [
            # The oldest waiting gate (inbox, metrics) and the gates to expire: pending ones only.
            models.Index(fields=["created_at"], name="gate_waiting_idx", condition=PENDING),
            models.Index(fields=["expires_at"], name="gate_due_idx", condition=PENDING),
        ]

    def __str__(self) -> str:
        return self.title

    def question(self) -> GateQuestion:
        return GateQuestion(
            id=self.pk,
            status=GateStatus(self.status),
            action=self.action,
            action_hash=self.action_hash,
            settings_hash=self.settings_hash,
            requested_by_id=self.requested_by_id,
            expires_at=self.expires_at,
        )


class ApprovalDecisionQuerySet(models.QuerySet["ApprovalDecision"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> ApprovalDecisionQuerySet:
        return self.filter(gate__run__tenant__memberships__user_id=user.pk) if user.pk else self.none()


class DecisionsAreFinal(TypeError):
    """Code tried to change or delete a decision. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__("decisions are append-only: they are neither changed nor deleted")


class ApprovalDecision(models.Model):
    """One answer by one person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gate = models.ForeignKey(ApprovalGate, models.CASCADE, related_name="decisions")
    # Who decided must stay provable: such a user is deactivated, not deleted.
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="decisions")
    verdict = models.CharField(max_length=20, choices=[(v.value, v.value) for v in Verdict])
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField()
    objects = ApprovalDecisionQuerySet.as_manager()

    class Meta:
        db_table = "approval_decisions"
        constraints = [models.UniqueConstraint(fields=["gate", "actor"], name="decision_once_per_person")]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.actor}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise DecisionsAreFinal
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise DecisionsAreFinal

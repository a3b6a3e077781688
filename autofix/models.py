from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, TypeVar

from django.db import models
from django.db.models.functions import Now

from autofix.decision import Strategy
from autofix.failures import FailureType
from autofix.states import AttemptOutcome
from metabuilder.builds.models import BuildRun, BuildStep, ScaffoldPlan, Tenant

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

T = TypeVar("T", bound=models.Model)


class RunOwnedQuerySet(models.QuerySet[T]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> RunOwnedQuerySet[T]:
        return self.filter(run__tenant__memberships__user_id=user.pk) if user.pk else self.none()


class AutoFixRun(models.Model):
    """One auto-fix attempt. Columns as the v3 guide fixes them; each extra says why it is there."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(BuildRun, models.CASCADE, related_name="auto_fix_runs")
    step = models.ForeignKey(BuildStep, models.CASCADE, related_name="auto_fix_runs")
    signal_type = models.CharField(max_length=50, choices=[(t.value, t.value) for t in FailureType])
    strategy = models.CharField(max_length=50, null=True, choices=[(s.value, s.value) for s in Strategy])  # noqa: DJ001 - null in the guide: no strategy chosen yet
    outcome = models.CharField(max_length=50, choices=AttemptOutcome)
    attempt = models.IntegerField(db_default=1)  # 1-based within step and iteration
    backoff = models.FloatField(null=True)  # seconds
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    iteration = models.IntegerField(db_default=1)  # extra: a manual retry keeps the earlier history apart
    fingerprint = models.CharField(max_length=64, db_default="")  # extra: what healed this failure before
    candidate_key = models.CharField(max_length=300, db_default="")  # extra: what was tried, for the same
    harmful = models.BooleanField(db_default=False)  # extra: a later step failed because of this fix
    fix_commit = models.CharField(max_length=64, db_default="")  # extra: what would have to be reverted
    decision = models.JSONField(null=True)  # extra: the decision record, all that went into it
    objects = RunOwnedQuerySet.as_manager()

    class Meta:
        db_table = "auto_fix_runs"
        indexes = [
            models.Index(fields=["run", "created_at"], name="autofix_run_history_idx"),
            models.Index(fields=["fingerprint", "candidate_key"], name="autofix_memory_idx"),
            # The success ratio at scrape time reads one day.
            models.Index(fields=["updated_at", "outcome"], name="autofix_ratio_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.signal_type} {self.strategy} {self.outcome}"


class FixTrial(models.Model):
    """One candidate tried inside an attempt."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    attempt = models.ForeignKey(AutoFixRun, models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField()  # 1-based
    candidate = models.CharField(max_length=300)
    summary = models.TextField()
    diff_digest = models.CharField(max_length=64, blank=True)
    diff = models.TextField(blank=True)  # for people; cut at 64 KiB
    guard_verdict = models.JSONField(null=True)  # {"action", "findings": [...]}
    ladder_level = models.IntegerField(null=True)  # highest level reached, 0..4
    passed = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    seconds = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "fix_trials"
        constraints = [models.UniqueConstraint(fields=["attempt", "number"], name="trial_number_once")]

    def __str__(self) -> str:
        return self.summary


class RetryState(models.Model):
    """Counters and budgets of a run; see DESIGN's words: attempts, not executions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.OneToOneField(BuildRun, models.CASCADE, related_name="retry_state")
    attempt_counter = models.IntegerField(db_default=0)  # over the run's whole life
    per_step_attempts = models.JSONField(db_default=models.Value({}, models.JSONField()))
    total_attempts = models.IntegerField(db_default=0)  # this iteration
    last_backoff_seconds = models.FloatField(null=True)
    max_total_attempts = models.IntegerField(db_default=6)
    max_per_step_attempts = models.IntegerField(db_default=3)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "retry_states"

    def __str__(self) -> str:
        return f"{self.total_attempts} of {self.max_total_attempts} attempts"


class PlanDelta(models.Model):
    """One re-plan: `delta_data` is the RFC 6902 patch from the original plan to the new one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    original_plan = models.ForeignKey(ScaffoldPlan, models.PROTECT, related_name="deltas_from")
    new_plan = models.ForeignKey(ScaffoldPlan, models.PROTECT, related_name="deltas_to")
    run = models.ForeignKey(BuildRun, models.CASCADE, related_name="plan_deltas")
    delta_data = models.JSONField()
    triggered_by = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    objects = RunOwnedQuerySet.as_manager()

    class Meta:
        db_table = "plan_deltas"
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.triggered_by


class FailurePattern(models.Model):
    """A tenant's own classification rule; it ranks above the built-in ones, for that tenant only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="failure_patterns")
    name = models.CharField(max_length=100)
    pattern = models.CharField(max_length=500)
    signal_type = models.CharField(max_length=50, choices=[(t.value, t.value) for t in FailureType])
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "failure_patterns"
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="pattern_name_once")]

    def __str__(self) -> str:
        return self.name

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings as django_settings
from django.db import models

from metabuilder.builds.models.plans import ScaffoldPlan
from metabuilder.builds.models.tenancy import Tenant
from metabuilder.builds.plans import StepKind
from metabuilder.builds.states import (
    ENDED_RUNS,
    ExecutionEnd,
    Purpose,
    RunOutcome,
    RunStatus,
    StepStatus,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class BuildRunQuerySet(models.QuerySet["BuildRun"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> BuildRunQuerySet:
        return self.filter(tenant__memberships__user_id=user.pk) if user.pk else self.none()

    def active(self) -> BuildRunQuerySet:
        return self.exclude(status__in=ENDED_RUNS)


ACTIVE_RUNS = ~models.Q(status__in=sorted(ENDED_RUNS))


class BuildRun(models.Model):
    """One build of one source at one commit. Only builds.transitions writes `status`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="build_runs")
    plan = models.ForeignKey(ScaffoldPlan, models.PROTECT, related_name="build_runs")
    source = models.CharField(max_length=2000)
    ref = models.CharField(max_length=255, blank=True)
    base_commit = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=20, choices=RunStatus, default=RunStatus.QUEUED)
    created_by = models.ForeignKey(
        django_settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="build_runs"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    outcome = models.CharField(max_length=20, choices=RunOutcome, blank=True, db_default="")
    iteration = models.PositiveIntegerField(db_default=1)  # a manual retry starts the next one
    fence = models.BigIntegerField(db_default=0)  # rises by one with every lease; only its holder may write
    lease_owner = models.CharField(max_length=200, blank=True, db_default="")
    lease_expires_at = models.DateTimeField(null=True)  # null: nobody holds the run
    lost_holders = models.PositiveIntegerField(db_default=0)  # in a row that died before they gave the run back
    wake_at = models.DateTimeField(null=True)  # when the latest wake-up is due
    wake_message = models.BigIntegerField(null=True)  # its row in the queue; builds.queue explains
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    hold = models.BooleanField(db_default=False)  # created, but not to start before somebody releases it
    foreground = models.BooleanField(db_default=False)  # advanced by a command; workers leave it alone
    include_worktree = models.BooleanField(db_default=False)
    branch = models.CharField(max_length=255, blank=True, db_default="")
    head_commit = models.CharField(max_length=64, blank=True, db_default="")
    delivered = models.CharField(max_length=2000, blank=True, db_default="")  # where the fix can be fetched
    first_signal = models.JSONField(null=True)  # {"type", "confidence", "message"} of the first failure
    processes = models.JSONField(null=True)  # who owns the run's processes, for a takeover on the same host
    result_note = models.TextField(blank=True, db_default="")  # why it ended as it did, for people
    objects = BuildRunQuerySet.as_manager()

    class Meta:
        db_table = "build_runs"
        indexes = [
            # The reconciler asks only for unfinished runs.
            models.Index(fields=["lease_expires_at", "wake_at"], name="run_active_idx", condition=ACTIVE_RUNS),
            models.Index(fields=["tenant", "-created_at"], name="run_list_idx"),
        ]

    def __str__(self) -> str:
        return f"run {self.id}"


class BuildStep(models.Model):
    """One step of a run. Only builds.transitions writes `status`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(BuildRun, models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=[(k.value, k.value) for k in StepKind], default=StepKind.OTHER.value)
    command = models.TextField()
    status = models.CharField(max_length=20, choices=StepStatus, default=StepStatus.PENDING)
    last_exit_code = models.IntegerField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "build_steps"
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="step_name_once_per_run")]

    def __str__(self) -> str:
        return self.name


class StepExecution(models.Model):
    """One execution of a step's command. `end` is empty while it runs."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    step = models.ForeignKey(BuildStep, models.CASCADE, related_name="executions")
    iteration = models.PositiveIntegerField()
    number = models.PositiveIntegerField()  # 1-based within the step, over all iterations
    purpose = models.CharField(max_length=20, choices=Purpose)
    command = models.TextField()
    end = models.CharField(max_length=20, choices=ExecutionEnd, blank=True, default="")
    exit_code = models.IntegerField(null=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    log_ref = models.CharField(max_length=300, blank=True)
    process = models.JSONField(null=True)  # process group, boot id and start time, stored before the command starts
    snapshot = models.CharField(max_length=64, blank=True)
    # The commit of the fix branch that the tree stood on; "" for a candidate not yet committed.
    commit = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "step_executions"
        constraints = [models.UniqueConstraint(fields=["step", "number"], name="execution_number_once")]

    def __str__(self) -> str:
        return f"{self.step} #{self.number}"


class WorkerHeartbeat(models.Model):
    """One line for each worker command that lives, or did lately."""

    name = models.CharField(max_length=200, unique=True)  # host:pid
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "worker_heartbeats"

    def __str__(self) -> str:
        return self.name

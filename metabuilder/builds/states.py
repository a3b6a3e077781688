"""Statuses of runs, steps and executions, and the one table of allowed moves for each."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class RunStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING_RETRY = "waiting_retry"  # a backoff is pending
    WAITING_APPROVAL = "waiting_approval"  # a gate is open
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


class RunOutcome(models.TextChoices):
    """How a run ended, or stands: what auto-fix made of it."""

    CLEAN = "clean"
    HEALED = "healed"
    ESCALATED = "escalated"
    ROLLED_BACK = "rolled_back"
    GAVE_UP = "gave_up"


class StepStatus(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class Purpose(models.TextChoices):
    BUILD = "build"
    RETRY = "retry"
    PROOF = "proof"
    FLAKE_CHECK = "flake_check"
    REPLAY = "replay"  # rebuilding what is not in git


class ExecutionEnd(models.TextChoices):
    EXITED = "exited"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    LOST = "lost"  # our own machinery died; never the user's failure


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


ENDED_RUNS = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.ROLLED_BACK, RunStatus.CANCELLED})
RETRYABLE_RUNS = frozenset({RunStatus.FAILED, RunStatus.ROLLED_BACK, RunStatus.CANCELLED})

RUN_MOVES: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED}),
    RunStatus.RUNNING: ENDED_RUNS | {RunStatus.WAITING_RETRY, RunStatus.WAITING_APPROVAL},
    RunStatus.WAITING_RETRY: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED}),
    RunStatus.WAITING_APPROVAL: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED}),
    RunStatus.SUCCEEDED: frozenset(),
    RunStatus.FAILED: frozenset({RunStatus.QUEUED}),  # a manual retry
    RunStatus.ROLLED_BACK: frozenset({RunStatus.QUEUED}),
    RunStatus.CANCELLED: frozenset({RunStatus.QUEUED}),
}

STEP_MOVES: Mapping[StepStatus, frozenset[StepStatus]] = {
    StepStatus.PENDING: frozenset({StepStatus.RUNNING, StepStatus.SKIPPED}),
    # running -> pending: the execution was lost with its engine, or the run was parked.
    StepStatus.RUNNING: frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.PENDING}),
    # succeeded -> pending: a manual retry or a rebuilt environment runs it again.
    StepStatus.SUCCEEDED: frozenset({StepStatus.PENDING}),
    StepStatus.FAILED: frozenset({StepStatus.PENDING}),
    StepStatus.SKIPPED: frozenset({StepStatus.PENDING}),
}

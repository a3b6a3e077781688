"""The only writers of a run's and a step's status: each change is one conditional UPDATE."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.utils import timezone

from metabuilder.builds.errors import TransitionRefused
from metabuilder.builds.leases import Lease
from metabuilder.builds.models import BuildRun, BuildStep, StepExecution
from metabuilder.builds.states import ENDED_RUNS, RUN_MOVES, STEP_MOVES, ExecutionEnd, RunStatus, StepStatus


def move_run(run: BuildRun, target: RunStatus, *, lease: Lease | None, **changes: Any) -> None:
    """Move `run` to `target`. Raises TransitionRefused if it, or LeaseLost if the lease, is no longer ours.

    Without a lease (cancelling or retrying a run that nobody works on) the fence rises, so that whoever is just
    taking the run cannot write on an old view of it.
    """
    seen = RunStatus(run.status)
    if target not in RUN_MOVES[seen]:
        raise ValueError(f"no transition {seen} -> {target}")
    rows = BuildRun.objects.filter(pk=run.pk, status=seen)
    if lease:
        lease.hold()
        rows = rows.filter(fence=lease.fence)
    else:
        changes = {"fence": F("fence") + 1, **changes}
    if target in ENDED_RUNS:
        changes = {"finished_at": timezone.now(), **changes}
    # Compare-and-swap: of two writers, one sees zero rows.
    if not rows.update(status=target, updated_at=timezone.now(), **changes):
        raise TransitionRefused(f"run {run.pk}", seen, target)
    run.refresh_from_db()


def move_step(step: BuildStep, target: StepStatus, *, lease: Lease, **changes: Any) -> None:
    """Move `step` to `target`. Raises TransitionRefused if it, or LeaseLost if the lease, is no longer ours."""
    seen = StepStatus(step.status)
    if target not in STEP_MOVES[seen]:
        raise ValueError(f"no transition {seen} -> {target}")
    lease.hold()
    if not BuildStep.objects.filter(pk=step.pk, status=seen).update(status=target, **changes):
        raise TransitionRefused(f"step {step.pk}", seen, target)
    step.refresh_from_db()


def reopen_steps(run: BuildRun) -> None:
    """Put every step of a run that is being queued again back to pending."""
    run.steps.exclude(status=StepStatus.PENDING).update(
        status=StepStatus.PENDING, last_exit_code=None, started_at=None, finished_at=None
    )


def close_lost(run: BuildRun) -> None:
    """Close what a holder that died left running. The caller has moved the run, so that its fence has risen."""
    StepExecution.objects.filter(step__run=run, end="").update(end=ExecutionEnd.LOST, finished_at=timezone.now())
    run.steps.filter(status=StepStatus.RUNNING).update(status=StepStatus.PENDING)

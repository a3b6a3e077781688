"""Creating, cancelling and retrying runs, and keeping their steps in line with their plan."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from metabuilder.audit.services import record_event
from metabuilder.builds.errors import RunAmbiguous, RunNotCancellable, RunNotFound, RunNotRetryable
from metabuilder.builds.models import BuildRun, BuildStep, ScaffoldPlan, Tenant
from metabuilder.builds.plans import Plan
from metabuilder.builds.queue import enqueue_advance
from metabuilder.builds.states import ENDED_RUNS, RETRYABLE_RUNS, RunStatus, StepStatus
from metabuilder.builds.transitions import move_run, reopen_steps


@transaction.atomic
def create_run(
    *,
    tenant: Tenant,
    actor: User | None,
    source: str,
    plan: Plan,
    ref: str = "",
    hold: bool = False,
    foreground: bool = False,
    include_worktree: bool = False,
) -> BuildRun:
    """Create a run with its steps and, unless it is held or advanced by the caller, wake the orchestrator for it."""
    run = BuildRun.objects.create(
        tenant=tenant,
        plan=store_plan(plan, tenant=tenant),
        source=source,
        ref=ref,
        created_by=actor,
        hold=hold,
        foreground=foreground,
        include_worktree=include_worktree,
    )
    sync_steps(run, plan)
    record_event(
        "run.created",
        tenant=tenant,
        subject=run,
        actor=actor,
        payload={"source": source, "plan": plan.digest},
    )
    if not (hold or foreground):
        enqueue_advance(run.pk)
    return run


def store_plan(plan: Plan, *, tenant: Tenant, parent: ScaffoldPlan | None = None) -> ScaffoldPlan:
    """Store an immutable version; the same content under the same parent is stored once."""
    found = ScaffoldPlan.objects.filter(tenant=tenant, parent=parent, digest=plan.digest).first()
    return found or ScaffoldPlan.objects.create(
        tenant=tenant, parent=parent, name=plan.name, body=plan.to_json(), digest=plan.digest
    )


def sync_steps(run: BuildRun, plan: Plan) -> None:
    """Bring the run's step rows in line with `plan`: new ones pending, changed ones re-opened, dropped ones skipped.

    Steps already green and unchanged stay green. The caller holds the lease or has just created the run.
    """
    rows = {step.name: step for step in run.steps.all()}
    for position, spec in enumerate(plan.order()):
        row = rows.pop(spec.name, None)
        wanted: dict[str, Any] = {"position": position, "kind": spec.kind.value, "command": spec.run}
        if row is None:
            BuildStep.objects.create(run=run, name=spec.name, **wanted)
        else:
            BuildStep.objects.filter(pk=row.pk).update(**wanted)
    dropped = [row.pk for row in rows.values()]
    BuildStep.objects.filter(pk__in=dropped).update(status=StepStatus.SKIPPED, position=len(plan.steps))


def find_run(prefix: str, user: User) -> BuildRun:
    """Return the run of `user`'s tenants whose id begins so. Raises RunNotFound or RunAmbiguous."""
    digits = prefix.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
        raise RunNotFound(prefix)
    first, last = (UUID(digits.ljust(32, filler)) for filler in "0f")
    found = BuildRun.objects.visible_to(user).filter(pk__range=(first, last))[:2]
    if len(found) > 1:
        raise RunAmbiguous(prefix)
    if not found:
        raise RunNotFound(prefix)
    return found[0]


def request_cancel(run: BuildRun, *, actor: User | None) -> BuildRun:
    """Cancel a run that nobody works on at once, and ask the holder of a running one to stop.

    Raises RunNotCancellable where it has ended. Asking twice is not an error.
    """
    with transaction.atomic():
        run.refresh_from_db()
        status = RunStatus(run.status)
        if status in ENDED_RUNS:
            raise RunNotCancellable(run.pk, status)
        if status is RunStatus.RUNNING:
            # The event is recorded when the holder has really stopped.
            BuildRun.objects.filter(pk=run.pk, cancel_requested_at__isnull=True).update(
                cancel_requested_at=timezone.now()
            )
            enqueue_advance(run.pk)
        else:
            move_run(run, RunStatus.CANCELLED, lease=None, cancel_requested_at=timezone.now())
            record_event("run.cancelled", tenant=run.tenant, subject=run, actor=actor)
        run.refresh_from_db()
    return run


@transaction.atomic
def retry_run(run: BuildRun, *, actor: User | None, foreground: bool = False) -> BuildRun:
    """Put an ended run back to queued with fresh budgets; its history stays under the earlier iteration.

    Raises RunNotRetryable (nothing changed) unless it failed, was rolled back or cancelled.
    """
    run.refresh_from_db()
    if run.status not in RETRYABLE_RUNS:
        raise RunNotRetryable(run.pk, run.status)
    move_run(
        run,
        RunStatus.QUEUED,
        lease=None,
        iteration=run.iteration + 1,
        outcome="",
        result_note="",
        first_signal=None,
        finished_at=None,
        deadline_at=None,
        cancel_requested_at=None,
        lost_holders=0,
        foreground=foreground,
    )
    reopen_steps(run)
    record_event("run.retried", tenant=run.tenant, subject=run, actor=actor, payload={"iteration": run.iteration})
    if not foreground:
        enqueue_advance(run.pk)
    return run

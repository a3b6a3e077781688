"""Creating, cancelling and retrying runs, and keeping their steps in line with their plan."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from metabuilder.audit.services import record_event
from metabuilder.builds.errors import LeaseBusy, RunAmbiguous, RunNotCancellable, RunNotFound, RunNotRetryable
from metabuilder.builds.leases import unheld
from metabuilder.builds.models import BuildRun, BuildStep, ScaffoldPlan, Tenant
from metabuilder.builds.permissions import Action, check_may
from metabuilder.builds.plans import Plan
from metabuilder.builds.queue import enqueue_advance
from metabuilder.builds.sources import check_no_credentials
from metabuilder.builds.states import ENDED_RUNS, RETRYABLE_RUNS, RunStatus, StepStatus
from metabuilder.builds.transitions import close_lost, move_run, reopen_steps

# Called in the transaction that cancels a run, or starts it over: what people are asked about it is moot. Apps above
# this one register in their AppConfig.
on_questions_moot: list[Callable[[BuildRun], None]] = []


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
    os_user: str = "",
) -> BuildRun:
    """Create a run with its steps and, unless it is held or advanced by the caller, wake the orchestrator for it.

    Raises NotAllowed, or SourceRefused for a source with credentials in it: it is stored, shown and audited.
    `os_user`: who really typed the command, where that is not `actor`; the audit event names both.
    """
    if actor:
        check_may(actor, tenant, Action.START)
    check_no_credentials(source)
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
        payload={"source": source, "plan": plan.digest, **_typed_by(os_user)},
    )
    if not (hold or foreground):
        enqueue_advance(run.pk)
    return run


def _typed_by(os_user: str) -> dict[str, str]:
    return {"os_user": os_user} if os_user else {}


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

    Raises NotAllowed, or RunNotCancellable where it has ended. Asking twice is not an error.
    """
    with transaction.atomic():
        if actor:
            check_may(actor, run.tenant_id, Action.CANCEL)
        run.refresh_from_db()
        status = RunStatus(run.status)
        if status in ENDED_RUNS:
            raise RunNotCancellable(run.pk, status)
        if status is RunStatus.RUNNING and not _left_behind(run):
            # The event is recorded when the holder has really stopped.
            BuildRun.objects.filter(pk=run.pk, cancel_requested_at__isnull=True).update(
                cancel_requested_at=timezone.now()
            )
            enqueue_advance(run.pk)
        else:
            move_run(run, RunStatus.CANCELLED, lease=None, cancel_requested_at=timezone.now(), foreground=False)
            close_lost(run)
            drop_questions(run)
            record_event("run.cancelled", tenant=run.tenant, subject=run, actor=actor)
        run.refresh_from_db()
    return run


def _left_behind(run: BuildRun) -> bool:
    """Whether the command that had this run in the foreground has died.

    Workers leave such a run alone, since whoever typed the command decides how it goes on: `heal --resume`, or
    cancelling. Nobody else will end it, so cancelling does it at once. (A worker's run is taken over instead.)
    """
    return run.foreground and BuildRun.objects.filter(unheld(), pk=run.pk).exists()


def drop_questions(run: BuildRun) -> None:
    """Close what people are still asked about a run that ended, in the caller's transaction."""
    for hook in on_questions_moot:
        hook(run)


def take_to_foreground(run: BuildRun) -> None:
    """Have workers leave the run to the caller's command. Raises LeaseBusy while somebody works on it."""
    if not BuildRun.objects.filter(unheld(), pk=run.pk).update(foreground=True):
        raise LeaseBusy(run.pk)
    run.refresh_from_db()


def leave_foreground(run: BuildRun) -> None:
    """Give a run that ended or waits back to the workers, now that the command ends.

    One that is still running lost its command to a crash: it stays with whoever typed it, as after `kill -9`.
    """
    waiting = BuildRun.objects.filter(unheld(), pk=run.pk, foreground=True).exclude(status=RunStatus.RUNNING)
    waiting.update(foreground=False)
    run.refresh_from_db()


@transaction.atomic
def retry_run(run: BuildRun, *, actor: User | None, foreground: bool = False, os_user: str = "") -> BuildRun:
    """Put an ended run back to queued with fresh budgets; its history stays under the earlier iteration.

    Raises NotAllowed, or RunNotRetryable (nothing changed) unless it failed, was rolled back or cancelled.
    """
    if actor:
        check_may(actor, run.tenant_id, Action.RETRY)
    run.refresh_from_db()
    if run.status not in RETRYABLE_RUNS:
        raise RunNotRetryable(run.pk, run.status)
    drop_questions(run)
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
    payload = {"iteration": run.iteration, **_typed_by(os_user)}
    record_event("run.retried", tenant=run.tenant, subject=run, actor=actor, payload=payload)
    if not foreground:
        enqueue_advance(run.pk)
    return run

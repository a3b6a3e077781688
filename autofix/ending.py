"""How a run ends when it does not end green: rolled back or given up, with nothing half done left behind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from autofix import budgets
from autofix.decision import Decision
from autofix.failures import FailureSignal
from autofix.session import RunSession
from autofix.states import AttemptOutcome
from metabuilder.audit.redaction import redact
from metabuilder.audit.services import record_event
from metabuilder.builds.leases import Lease
from metabuilder.builds.models import BuildRun, BuildStep, StepExecution
from metabuilder.builds.plans import StepSpec
from metabuilder.builds.runs import drop_questions
from metabuilder.builds.states import ENDED_RUNS, ExecutionEnd, Purpose, RunOutcome, RunStatus, StepStatus
from metabuilder.builds.transitions import move_run, move_step

if TYPE_CHECKING:
    from metabuilder.builds.models import ScaffoldPlan

logger = logging.getLogger("autofix")

OWN_FAILURE = "our own failure:"


def roll_back(
    session: RunSession,
    reason: str,
    *,
    step: BuildStep | None = None,
    signal: FailureSignal | None = None,
    decision: Decision | None = None,
) -> None:
    """Undo what the run did, in reverse order, and end it as rolled back. Proven fixes stay as a ref."""
    session.ending = True
    with session.timed("roll_back"):
        failed = _undo_effects(session)
        _restore_files(session)
    if failed:
        reason += f"; rolling back {', '.join(failed)} failed, which needs a person"
    target, outcome = RunStatus.ROLLED_BACK, RunOutcome.ROLLED_BACK
    if failed:
        target, outcome = RunStatus.FAILED, RunOutcome.GAVE_UP
    with transaction.atomic():
        session.lease.hold()
        if step and signal and decision:
            _close(session, step, signal, decision, AttemptOutcome.ROLLED_BACK)
        else:
            payload = {"reason": reason}
            record_event("autofix.rolled_back", tenant=session.run.tenant, subject=session.run, payload=payload)
        _end(session, target, outcome, reason)
    session.progress.tell("rolled_back", reason=reason)


def give_up(
    session: RunSession,
    reason: str,
    *,
    step: BuildStep | None = None,
    signal: FailureSignal | None = None,
    decision: Decision | None = None,
) -> None:
    """End the run as failed, its files as in the base commit."""
    session.ending = True
    _restore_files(session)
    with transaction.atomic():
        session.lease.hold()
        if step and signal and decision:
            _close(session, step, signal, decision, AttemptOutcome.GAVE_UP)
        budgets.supersede_pending(session.run)
        for cut_off in session.run.steps.filter(status=StepStatus.RUNNING):
            move_step(cut_off, StepStatus.FAILED, lease=session.lease, finished_at=timezone.now())
        if session.run.status != RunStatus.RUNNING:
            move_run(session.run, RunStatus.RUNNING, lease=session.lease)
        _end(session, RunStatus.FAILED, RunOutcome.GAVE_UP, reason)


def cancel(session: RunSession) -> None:
    """End the run as cancelled; its workspace stays for whoever wants to look."""
    run = session.run
    with transaction.atomic():
        session.lease.hold()
        budgets.supersede_pending(run)
        run.steps.filter(status=StepStatus.RUNNING).update(status=StepStatus.PENDING)
        move_run(run, RunStatus.CANCELLED, lease=session.lease, result_note="cancelled", foreground=False)
        drop_questions(run)
        record_event("run.cancelled", tenant=run.tenant, subject=run)


def end_broken(lease: Lease, error: BaseException) -> None:
    """End a run that our own machinery failed: status failed, no outcome, the error on record, no attempt charged."""
    run = BuildRun.objects.select_related("tenant").get(pk=lease.run_id)
    if run.status in ENDED_RUNS:
        return
    with transaction.atomic():
        lease.hold()
        budgets.supersede_pending(run)
        lost = StepExecution.objects.filter(step__run=run, end="")
        lost.update(end=ExecutionEnd.LOST, finished_at=timezone.now())
        run.steps.filter(status=StepStatus.RUNNING).update(status=StepStatus.PENDING)
        if run.status != RunStatus.RUNNING:
            move_run(run, RunStatus.RUNNING, lease=lease)
        note = f"{OWN_FAILURE} {redact(str(error) or type(error).__name__)}"
        move_run(run, RunStatus.FAILED, lease=lease, outcome="", result_note=note, foreground=False)


def _close(
    session: RunSession, step: BuildStep, signal: FailureSignal, decision: Decision, outcome: AttemptOutcome
) -> None:
    attempt = budgets.charge_attempt(step, signal, decision, lease=session.lease, free=True)
    budgets.finish_attempt(attempt, outcome, lease=session.lease)


def _end(session: RunSession, target: RunStatus, outcome: RunOutcome, reason: str) -> None:
    run = session.run
    kept = session.workspace.earlier_fixes_ref()
    if kept:
        reason += f"; fixes proven before that are kept as {kept}"
    move_run(
        run,
        target,
        lease=session.lease,
        outcome=outcome,
        result_note=reason,
        head_commit=session.workspace.head_commit,
        plan=first_version(run.plan),
        foreground=False,
    )


def first_version(plan: ScaffoldPlan) -> ScaffoldPlan:
    while plan.parent:
        plan = plan.parent
    return plan


def _restore_files(session: RunSession) -> None:
    session.end_processes()
    session.workspace.reset_to(session.workspace.base_commit)


def _undo_effects(session: RunSession) -> list[str]:
    """Run the rollback commands of the steps that had effects, last first; return the steps whose failed."""
    failed = []
    started = set(session.run.steps.exclude(started_at=None).values_list("name", flat=True))
    for spec in reversed(session.plan.order()):
        if spec.rollback and spec.name in started:
            step = session.run.steps.get(name=spec.name)
            if not session.run_again(step, _rollback_spec(spec), Purpose.REPLAY).passed:
                failed.append(spec.name)
    return failed


def _rollback_spec(spec: StepSpec) -> StepSpec:
    assert spec.rollback
    return StepSpec(name=spec.name, run=spec.rollback, cwd=spec.cwd, env=spec.env, timeout_seconds=spec.timeout_seconds)

"""Doing exactly what people decided at a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from approvals.models import ApprovalGate
from approvals.rules import GateStatus
from autofix import ending
from autofix.decision import Candidate, Strategy
from autofix.fixers.base import Proposal
from autofix.models import AutoFixRun
from autofix.proving import CandidateWork, Proof
from autofix.session import RunSession
from autofix.states import AttemptOutcome
from metabuilder.builds.candidates import FrozenCandidate
from metabuilder.builds.models import BuildStep
from metabuilder.builds.plans import parse_plan
from metabuilder.builds.states import RunStatus, StepStatus
from metabuilder.builds.transitions import move_run, move_step

if TYPE_CHECKING:
    from autofix.healing import Healer

RETRY = "retry"
TRY_CANDIDATE = "try_candidate"


def act_on_decision(session: RunSession, healer: Healer, gate: ApprovalGate) -> bool:
    """Carry a closed gate's decision out. True where the run goes on, False where it has ended."""
    match GateStatus(gate.status):
        case GateStatus.APPROVED:
            perform(session, healer, gate)
            return True
        case GateStatus.VOID:  # what it was bound to changed: the failure is looked at again
            _go_on(session, gate)
            return True
        case GateStatus.CANCELLED:
            ending.cancel(session)
            return False
    outcome = AttemptOutcome.REJECTED if gate.status == GateStatus.REJECTED else AttemptOutcome.ROLLED_BACK
    _set_outcome(gate, outcome)
    with transaction.atomic():
        move_run(session.run, RunStatus.RUNNING, lease=session.lease)
    ending.roll_back(session, f"gate {gate.pk} was {gate.status}{_comment(gate)}")
    return False


def unfinished(session: RunSession, gate: ApprovalGate | None) -> bool:
    """Whether an approved action was begun by a holder that died before it was on record."""
    if gate is None or gate.status != GateStatus.APPROVED or gate.action.get("type") == RETRY:
        return False
    attempt = AutoFixRun.objects.filter(pk=gate.action.get("attempt")).first()
    return attempt is not None and attempt.outcome == AttemptOutcome.ESCALATED


def perform(session: RunSession, healer: Healer, gate: ApprovalGate) -> None:
    """Do what the gate says, whether for the first time or after a crash."""
    action, step = gate.action, gate.step
    assert step
    _go_on(session, gate)
    step.refresh_from_db()
    step.run = session.run
    if action["type"] == RETRY:
        return
    attempt = AutoFixRun.objects.get(pk=action["attempt"])
    candidate, proof, reason = _apply(session, healer, step, attempt, action)
    if proof is None or candidate is None:
        record = {**(attempt.decision or {}), "result": reason}
        _set_outcome(gate, AttemptOutcome.FAILED, decision=record)
    else:
        healer.accept(step, attempt, candidate, proof)


def _apply(
    session: RunSession, healer: Healer, step: BuildStep, attempt: AutoFixRun, action: dict[str, Any]
) -> tuple[Candidate | None, Proof | None, str]:
    failure = healer.failure_of(step)
    if action["type"] == TRY_CANDIDATE:
        found = [c for c in healer.candidates(failure) if c.key == action["candidate"]]
        if not found:
            return None, None, "the approved fix no longer applies"
        work, proof = healer.work_off(step, failure, found[0], attempt, approved=True)
        return found[0], proof, work.last_reason
    candidate = Candidate(
        key=action["candidate"],
        fixer=action["fixer"],
        strategy=Strategy(attempt.strategy) if attempt.strategy else Strategy.PATCH,
        title=action["title"],
    )
    proposal = Proposal(
        summary=action["summary"],
        plan=parse_plan(action["plan"]) if action["plan"] else None,
        rebuild=action["rebuild"],
        vouched=tuple(action["vouched"]),
    )
    frozen = FrozenCandidate.from_dict(action["frozen"]) if action["frozen"] else None
    work = CandidateWork(session=session, step=step, failure=failure, candidate=candidate, attempt=attempt)
    return candidate, work.apply_approved(proposal, frozen), work.last_reason


def _go_on(session: RunSession, gate: ApprovalGate) -> None:
    """Put the workspace as it was when the question was asked, and the run back to running."""
    session.workspace.reset_to(gate.action["resume_from"])
    with transaction.atomic():
        session.lease.hold()
        if session.run.status != RunStatus.RUNNING:
            move_run(session.run, RunStatus.RUNNING, lease=session.lease, outcome="", result_note="")
        step = gate.step
        if gate.status == GateStatus.APPROVED and gate.action["type"] == RETRY and step:
            step.refresh_from_db()
            if step.status == StepStatus.FAILED:
                move_step(step, StepStatus.PENDING, lease=session.lease)


def _set_outcome(gate: ApprovalGate, outcome: AttemptOutcome, **changes: Any) -> None:
    """Refine the outcome of the attempt that asked. It was counted when it was escalated."""
    rows = AutoFixRun.objects.filter(pk=gate.action.get("attempt"), outcome=AttemptOutcome.ESCALATED)
    rows.update(outcome=outcome, updated_at=timezone.now(), **changes)


def _comment(gate: ApprovalGate) -> str:
    decision = gate.decisions.order_by("-created_at").first()
    return f" by {decision.actor}: {decision.comment}" if decision else ""

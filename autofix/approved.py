"""Doing exactly what people decided at a gate."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from approvals.models import ApprovalGate
from approvals.rules import GateStatus, why_unbound
from autofix import budgets, ending, escalation
from autofix.decision import Candidate, Decision, Strategy
from autofix.fixers.base import Proposal
from autofix.models import AutoFixRun
from autofix.proofs import Proof, findings_text
from autofix.proving import CandidateWork
from autofix.session import RunSession
from autofix.states import AttemptOutcome
from metabuilder.audit.chain import storable
from metabuilder.builds.candidates import FrozenCandidate
from metabuilder.builds.models import BuildStep, ScaffoldPlan
from metabuilder.builds.states import RunStatus, StepStatus
from metabuilder.builds.transitions import move_run, move_step

if TYPE_CHECKING:
    from autofix.healing import Healer
    from metabuilder.builds.plans import Plan

logger = logging.getLogger("autofix")

RETRY = "retry"
TRY_CANDIDATE = "try_candidate"


def act_on_decision(session: RunSession, healer: Healer, gate: ApprovalGate) -> bool:
    """Carry a closed gate's decision out. True where the run goes on, False where it has ended."""
    match GateStatus(gate.status):
        case GateStatus.APPROVED:
            return perform(session, healer, gate)
        case GateStatus.VOID:  # what it was bound to changed: the failure is looked at again
            _go_on(session, gate)
            return True
        case GateStatus.CANCELLED:
            ending.cancel(session)
            return False
    outcome = AttemptOutcome.REJECTED if gate.status == GateStatus.REJECTED else AttemptOutcome.ROLLED_BACK
    with transaction.atomic():
        session.lease.hold()
        _set_outcome(gate, outcome)
        if session.run.status != RunStatus.RUNNING:
            move_run(session.run, RunStatus.RUNNING, lease=session.lease)
    ending.roll_back(session, f"gate {gate.pk} was {gate.status}{_comment(gate)}")
    return False


def refused(gate: ApprovalGate) -> bool:
    """Whether people, or time, said no: the run then ends as rolled back, however often its holder dies."""
    return gate.status in {GateStatus.REJECTED, GateStatus.EXPIRED}


def unfinished(gate: ApprovalGate) -> bool:
    """Whether an approved action was begun by a holder that died before it was on record."""
    if gate.status != GateStatus.APPROVED or gate.action.get("type") == RETRY:
        return False
    attempt = AutoFixRun.objects.filter(pk=gate.action.get("attempt")).first()
    return attempt is not None and attempt.outcome == AttemptOutcome.ESCALATED


def perform(session: RunSession, healer: Healer, gate: ApprovalGate) -> bool:
    """Do what the gate says, whether for the first time or after a crash. False where people are asked again."""
    action, step = gate.action, gate.step
    assert step
    session.check_kill_switch()
    _go_on(session, gate)
    if why := why_unbound(gate.question(), session.settings.governing_hash()):
        logger.warning("approved, but not performed: %s", why, extra=budgets.log_fields(session.run, step))
        with transaction.atomic():
            session.lease.hold()
            _set_outcome(gate, AttemptOutcome.SUPERSEDED)
        return True  # the failure is looked at again
    step.refresh_from_db()
    step.run = session.run
    if action["type"] == RETRY:
        return True
    attempt = AutoFixRun.objects.get(pk=action["attempt"])
    candidate, proof, reason = _apply(session, healer, step, attempt, action)
    if proof is None or candidate is None:
        record = {**(attempt.decision or {}), "result": reason}
        with transaction.atomic():
            session.lease.hold()
            # With its key, so that it is not offered once more.
            _set_outcome(gate, AttemptOutcome.FAILED, decision=record, candidate_key=action["candidate"])
        return True
    if proof.verdict.allowed:
        healer.accept(step, attempt, candidate, proof)
        return True
    _ask_with_the_diff(session, healer, gate, candidate, proof)
    return False


def _ask_with_the_diff(
    session: RunSession, healer: Healer, gate: ApprovalGate, candidate: Candidate, proof: Proof
) -> None:
    """What people allowed to be tried turned out to break a guard rule: now there is a diff for them to see."""
    step = gate.step
    assert step
    signal = healer.failure_of(step).signal
    decision = Decision(strategy=candidate.strategy, reason=findings_text(proof.verdict), candidate=candidate)
    with transaction.atomic():
        session.lease.hold()
        _set_outcome(gate, AttemptOutcome.SUPERSEDED)
        attempt = budgets.charge_attempt(step, signal, decision, lease=session.lease, free=True)
    escalation.ask(session, step, signal, decision, attempt, proposal=candidate, proof=proof, kind="patch")


def _apply(
    session: RunSession, healer: Healer, step: BuildStep, attempt: AutoFixRun, action: dict[str, Any]
) -> tuple[Candidate | None, Proof | None, str]:
    failure = healer.failure_of(step)
    if action["type"] == TRY_CANDIDATE:
        found = [c for c in healer.candidates(failure) if c.key == action["candidate"]]
        # Bound to what was named: what else it would install now, nobody has approved.
        if not found or storable(dict(found[0].details)) != action["details"]:
            return None, None, "the approved fix no longer applies"
        work, proof = healer.work_off(step, failure, found[0], attempt, approved=True)
        return found[0], proof, work.last_reason
    plan = _approved_plan(session, action)
    if plan is None and "plan_id" in action:
        return None, None, "the approved plan is no longer what was approved"
    candidate = Candidate(
        key=action["candidate"],
        fixer=action["fixer"],
        strategy=Strategy(attempt.strategy) if attempt.strategy else Strategy.PATCH,
        title=action["title"],
    )
    proposal = Proposal(
        summary=action["summary"],
        plan=plan,
        rebuild=action["rebuild"],
        vouched=tuple(action["vouched"]),
    )
    frozen = FrozenCandidate.from_dict(action["frozen"]) if action["frozen"] else None
    work = CandidateWork(session=session, step=step, failure=failure, candidate=candidate, attempt=attempt)
    return candidate, work.apply_approved(proposal, frozen), work.last_reason


def _approved_plan(session: RunSession, action: dict[str, Any]) -> Plan | None:
    """The stored version that a gate is bound to; None where there is none, or its content is another."""
    if "plan_id" not in action:
        return None
    stored = ScaffoldPlan.objects.filter(tenant=session.run.tenant, pk=action["plan_id"]).first()
    plan = stored.plan() if stored else None
    return plan if plan and plan.digest == action["plan_digest"] else None


def _go_on(session: RunSession, gate: ApprovalGate) -> None:
    """Put the workspace as it was when the question was asked, and the run back to running."""
    session.workspace.reset_to(gate.action["resume_from"])
    run = session.run
    with transaction.atomic():
        session.lease.hold()
        if run.status != RunStatus.RUNNING:
            # The time that people take is not the run's.
            later = run.deadline_at and run.deadline_at + (timezone.now() - gate.created_at)
            move_run(run, RunStatus.RUNNING, lease=session.lease, outcome="", result_note="", deadline_at=later)
        step = gate.step
        # Also where the gate is void: what is decided next is decided on how the step ends now.
        if gate.action["type"] == RETRY and step:
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

"""Putting a decision to people, and doing what they decided."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from approvals.models import ApprovalGate
from approvals.services import open_gate
from autofix import budgets
from autofix.decision import Candidate, Decision, Strategy
from autofix.failures import FailureSignal, FailureType
from autofix.models import AutoFixRun
from autofix.proofs import SHOWN_DIFF_BYTES, Proof, findings_text, verdict_record
from autofix.session import RunSession
from autofix.states import AttemptOutcome
from metabuilder.audit.chain import storable
from metabuilder.audit.redaction import redact
from metabuilder.audit.services import record_event
from metabuilder.builds.masking import masked_delta
from metabuilder.builds.models import BuildRun, BuildStep
from metabuilder.builds.plan_diff import diff
from metabuilder.builds.runs import store_plan
from metabuilder.builds.states import RunOutcome, RunStatus
from metabuilder.builds.transitions import move_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metabuilder.builds.plans import Plan

KINDS = {
    FailureType.SECURITY: "security",
    FailureType.POLICY: "policy",
    FailureType.SCHEMA_MIGRATION: "data_at_risk",
}


def propose(
    session: RunSession,
    step: BuildStep,
    signal: FailureSignal,
    decision: Decision,
    attempt: AutoFixRun,
    proof: Proof,
) -> None:
    """A proven fix that the guard wants a person to see."""
    ask(session, step, signal, decision, attempt, proposal=decision.candidate, proof=proof, kind="patch")


def ask(
    session: RunSession,
    step: BuildStep,
    signal: FailureSignal,
    decision: Decision,
    attempt: AutoFixRun,
    *,
    proposal: Candidate | None = None,
    proof: Proof | None = None,
    kind: str = "",
) -> None:
    """Open a gate bound to one exact action, park the run and free the worker."""
    run, workspace = session.run, session.workspace
    resume_from = workspace.checkpoint if not workspace.changed_since_snapshot() else workspace.snapshot("gate")
    action = _action(step, proposal, proof) | {
        "base_commit": run.head_commit or workspace.base_commit,
        "resume_from": resume_from or workspace.checkpoint,
        "attempt": str(attempt.pk),
    }
    hours = session.settings.gate_expiry_hours
    with transaction.atomic():
        session.lease.hold()
        if proof and proof.proposal.plan:
            action |= _bound_plan(run, proof.proposal.plan)
        budgets.finish_attempt(attempt, AttemptOutcome.ESCALATED, lease=session.lease)
        if decision.strategy is not Strategy.ESCALATE:  # else its attempt is on record as that
            reason = findings_text(proof.verdict) if proof else decision.reason
            payload = {"step": step.name, "signal_type": signal.type.value, "reason": reason}
            record_event("autofix.escalated", tenant=run.tenant, subject=run, payload=payload)
        gate = open_gate(
            run,
            step=step,
            kind=kind or KINDS.get(signal.type) or ("patch" if proposal else "budget"),
            title=f"{step.name}: {signal.message}"[:300],
            body=_body(step, signal, decision, proof),
            evidence=[{"number": e.number, "text": e.text, "rule": e.rule} for e in signal.evidence],
            action=action,
            settings_hash=session.settings.governing_hash(),
            requested_by=run.created_by,
            expires_at=timezone.now() + timedelta(hours=hours) if hours else None,
            lease=session.lease,
        )
        move_run(
            run,
            RunStatus.WAITING_APPROVAL,
            lease=session.lease,
            outcome=RunOutcome.ESCALATED,
            result_note=decision.reason,
            head_commit=workspace.head_commit,
            wake_at=None,
            wake_message=None,
            foreground=False,
        )
    session.end_processes()
    # At a gate the tree holds proven fixes only. After the transaction: before it, a crash would lose what
    # the steps made, which `resume_from` brings back.
    workspace.reset_to(workspace.head_commit)
    session.progress.tell("gate_opened", gate=gate)


def _action(step: BuildStep, proposal: Candidate | None, proof: Proof | None) -> dict[str, Any]:
    """Exactly what approval does. Types: apply_patch, apply_plan, try_candidate, retry."""
    if proof and proposal:
        return {
            "type": "apply_patch" if proof.frozen else "apply_plan",
            "step": step.name,
            "candidate": proposal.key,
            "fixer": proposal.fixer,
            "title": proposal.title,
            "summary": proof.proposal.summary,
            "patch": redact(proof.diff.text)[:SHOWN_DIFF_BYTES],
            "patch_digest": proof.diff.digest,
            "frozen": proof.frozen.as_dict() if proof.frozen else None,
            "rebuild": proof.proposal.rebuild,
            "vouched": list(proof.proposal.vouched),
            "guard": verdict_record(proof.verdict),
            "label": f"level {proof.level} of the ladder: {proof.reason}",
            "reason": findings_text(proof.verdict),
        }
    if proposal:
        return {
            "type": "try_candidate",
            "step": step.name,
            "candidate": proposal.key,
            "fixer": proposal.fixer,
            "title": proposal.title,
            "summary": proposal.title,
            "details": storable(dict(proposal.details)),
            "reason": proposal.gate_reason,
        }
    return {"type": "retry", "step": step.name}


def _bound_plan(run: BuildRun, plan: Plan) -> dict[str, Any]:
    """Bind the action to a stored version: a plan may hold secrets, and a gate is read by every viewer."""
    stored = store_plan(plan, tenant=run.tenant, parent=run.plan)
    delta = masked_delta(diff(run.plan.plan(), plan))
    return {"plan_id": str(stored.pk), "plan_digest": plan.digest, "delta": delta}


def _body(step: BuildStep, signal: FailureSignal, decision: Decision, proof: Proof | None) -> str:
    lines = [
        f"Step {step.name} ({step.kind}) failed with exit code {step.last_exit_code}.",
        f"Cause: {signal.type.value} (confidence {signal.confidence:.2f}): {signal.message}",
        f"Why this is asked: {decision.reason}",
    ]
    if proof:
        lines.append(f"Proposed fix: {proof.proposal.summary}. Proven to level {proof.level}: {proof.reason}.")
    if proof and proof.verdict.findings:
        lines.append(f"The guard wants a person to see it: {findings_text(proof.verdict)}")
    tried = AutoFixRun.objects.filter(run=step.run, step=step, iteration=step.run.iteration).order_by("created_at")
    lines += [f"Tried: {_tried(row)}" for row in tried.exclude(outcome__in=["pending"])[:20]]
    return "\n".join(lines)


def _tried(row: AutoFixRun) -> str:
    record: Mapping[str, Any] = row.decision or {}
    what = row.candidate_key or (row.strategy or "").lower()
    return f"{what}: {row.outcome}" + (f" ({record['result']})" if record.get("result") else "")


def latest_gate(session: RunSession) -> ApprovalGate | None:
    """The newest gate of this iteration."""
    gates = ApprovalGate.objects.filter(run=session.run, created_at__gte=session.run.started_at)
    return gates.order_by("-created_at").first()

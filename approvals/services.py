"""Opening, deciding and closing gates. A decision only wakes the run; the orchestrator acts on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from approvals import rules
from approvals.errors import GateAlreadyOpen, GateNotFound
from approvals.models import ApprovalDecision, ApprovalGate
from approvals.presentation import visible
from approvals.rules import GateStatus, Verdict
from approvals.transitions import count, move_gate
from metabuilder.audit.chain import storable
from metabuilder.audit.models import AuditEventType
from metabuilder.audit.services import record_event
from metabuilder.builds.accounts import LOCAL_TENANT
from metabuilder.builds.leases import Lease
from metabuilder.builds.models import BuildRun, BuildStep
from metabuilder.builds.permissions import role_of
from metabuilder.builds.queue import enqueue_advance, worker_alive
from metabuilder.builds.states import ENDED_RUNS, Role
from settings_flags.services import effective_settings

logger = logging.getLogger(__name__)


class Output(Protocol):
    def write(self, text: str, /) -> object: ...


ForegroundRunner = Callable[[UUID, Output], None]
_foreground_runner: ForegroundRunner | None = None

_AUDITED = {
    GateStatus.APPROVED: AuditEventType.APPROVAL_GRANTED,
    GateStatus.REJECTED: AuditEventType.APPROVAL_REJECTED,
    GateStatus.EXPIRED: AuditEventType.APPROVAL_EXPIRED,
    GateStatus.VOID: AuditEventType.APPROVAL_VOIDED,
}


def open_gate(
    run: BuildRun,
    *,
    step: BuildStep | None,
    kind: str,
    title: str,
    body: str,
    evidence: Sequence[Mapping[str, Any]],
    action: Mapping[str, Any],
    settings_hash: str,
    requested_by: User | None,
    expires_at: datetime | None,
    lease: Lease,
) -> ApprovalGate:
    """Put one question to people, inside the caller's transaction. Raises GateAlreadyOpen; nothing changed.

    The caller moves the run to waiting_approval and records autofix.escalated in the same transaction.
    """
    lease.hold()
    if ApprovalGate.objects.pending().filter(run=run).exists():
        raise GateAlreadyOpen(run.pk)
    exact_action = storable(action)
    gate = ApprovalGate.objects.create(
        run=run,
        step=step,
        kind=kind,
        title=visible(storable(title))[:300],
        body=storable(body),
        evidence=storable(list(evidence)),
        action=exact_action,
        action_hash=rules.action_hash(exact_action),
        settings_hash=settings_hash,
        requested_by=requested_by,
        created_at=timezone.now(),
        expires_at=expires_at,
    )
    count(GateStatus.PENDING)
    return gate


def approve_gate(
    gate: ApprovalGate, *, actor: User, comment: str = "", settings_hash: str | None = None
) -> ApprovalGate:
    """Approve a pending gate and wake its run. `settings_hash` None: of the settings as they are now.

    Raises an error of approvals.errors. On GateExpired and GateVoid the gate has been closed so, audited, and
    the run woken; on any other error nothing has changed.
    """
    return _decide(gate, Verdict.APPROVED, actor=actor, comment=comment, settings_hash=settings_hash)


def reject_gate(gate: ApprovalGate, *, actor: User, comment: str) -> ApprovalGate:
    """Reject a pending gate and wake its run, which rolls back. Raises as approve_gate does."""
    return _decide(gate, Verdict.REJECTED, actor=actor, comment=comment, settings_hash=None)


def _decide(
    gate: ApprovalGate, verdict: Verdict, *, actor: User, comment: str, settings_hash: str | None
) -> ApprovalGate:
    now = timezone.now()
    with transaction.atomic():
        gate = _locked(gate)
        role = role_of(actor, gate.run.tenant_id)
        rules.check_standing(gate.question(), role=role)
        stale = _close_if_stale(gate, verdict, now, settings_hash)
        if not stale:
            rules.check_may_decide(
                gate.question(),
                actor_id=actor.pk,
                role=role,
                now=now,
                self_approval_allowed=_may_approve_own(gate.run, role),
                verdict=verdict,
                comment=comment,
            )
            ApprovalDecision.objects.create(
                gate=gate, actor=actor, verdict=verdict.value, comment=comment, created_at=now
            )
            own = verdict is Verdict.APPROVED and rules.is_own(gate.question(), actor.pk)
            facts = {"comment": comment, "self_approval": own}
            _close(gate, GateStatus(verdict.value), actor=actor, facts=facts)
    if stale:  # raised out here, so that closing it stays
        raise rules.closed(gate.question())
    return gate


def _locked(gate: ApprovalGate) -> ApprovalGate:
    """Return the gate as it is now, locked after its run: the order that the lease's holder has too."""
    run = BuildRun.objects.select_for_update(no_key=True).filter(pk=gate.run_id).first()
    locked = ApprovalGate.objects.select_for_update(no_key=True).filter(pk=gate.pk).first()
    if run is None or locked is None:
        raise GateNotFound(gate.pk)
    locked.run = run
    return locked


def _may_approve_own(run: BuildRun, role: Role | None) -> bool:
    on_own_machine = role is Role.OWNER and run.tenant.slug == LOCAL_TENANT
    return on_own_machine or bool(effective_settings(run).self_approval)


def _close_if_stale(gate: ApprovalGate, verdict: Verdict, now: datetime, settings_hash: str | None) -> bool:
    """Close a pending gate that can no longer get this verdict. True if it did."""
    question = gate.question()
    if question.status is not GateStatus.PENDING:
        return False
    if gate.run.status in ENDED_RUNS:
        _close(gate, GateStatus.CANCELLED)
    elif rules.is_due(question, now):
        _close(gate, GateStatus.EXPIRED)
    elif verdict is Verdict.APPROVED and (why := rules.why_unbound(question, settings_hash or _governing(gate.run))):
        _close(gate, GateStatus.VOID, facts={"reason": why})
    else:
        return False
    return True


def _governing(run: BuildRun) -> str:
    return effective_settings(run).governing_hash()


def _close(
    gate: ApprovalGate,
    target: GateStatus,
    *,
    actor: User | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Move the gate, wake its run and audit it, in the caller's transaction."""
    move_gate(gate, target)
    if gate.run.status not in ENDED_RUNS:
        enqueue_advance(gate.run_id)
    identity = {
        "run_id": str(gate.run_id),
        "step_id": str(gate.step_id or ""),
        "tenant": str(gate.run.tenant_id),
    }
    logger.info("gate %s is %s", gate.pk, gate.status, extra={**identity, "outcome": gate.status})
    if event_type := _AUDITED.get(target):
        payload = {
            "run": identity["run_id"],
            "kind": gate.kind,
            "action_hash": gate.action_hash,
            **(facts or {}),
        }
        record_event(event_type, tenant=gate.run.tenant, subject=gate, actor=actor, payload=payload)


def void_gate(gate: ApprovalGate, *, reason: str) -> None:
    """Close a gate whose premise changed (its base commit, its plan). Raises GateClosed if not open."""
    with transaction.atomic():
        _close(_locked(gate), GateStatus.VOID, facts={"reason": reason})
    gate.refresh_from_db()


def cancel_gate(gate: ApprovalGate) -> None:
    """Close a gate because its run is being cancelled. Raises GateClosed if not open."""
    with transaction.atomic():
        _close(_locked(gate), GateStatus.CANCELLED)
    gate.refresh_from_db()


def cancel_gates_of(run: BuildRun) -> None:
    """Close what is still asked about a run that was cancelled, or starts over."""
    for gate in ApprovalGate.objects.pending().filter(run=run):
        cancel_gate(gate)


def expire_due(now: datetime) -> int:
    """Expire the gates that nobody decided by `now`, waking their runs; return how many.

    Also cancels gates left open by runs that have ended. Safe to call at any time and from several processes.
    """
    expired = 0
    for gate in ApprovalGate.objects.due(now) | ApprovalGate.objects.orphaned():
        # A gate whose run was deleted meanwhile is no reason to leave the others open.
        with suppress(GateNotFound), transaction.atomic():
            current = _locked(gate)
            if _close_if_stale(current, Verdict.REJECTED, now, None):
                expired += current.status == GateStatus.EXPIRED
    return expired


def set_foreground_runner(runner: ForegroundRunner) -> None:
    """Register what advances a run in this process. The upper app does so in its AppConfig."""
    global _foreground_runner
    _foreground_runner = runner


def after_decision(gate: ApprovalGate, stdout: Output) -> bool:
    """Act on a decision in this process if no worker will. True if it did; False: a worker has been woken."""
    if _foreground_runner is None or (worker_alive() and not gate.run.foreground):
        return False
    _foreground_runner(gate.run_id, stdout)
    return True

"""The only writer of a gate's status."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.errors import GateAlreadyDecided
from approvals.metrics import approval_requests
from approvals.models import ApprovalGate
from approvals.rules import GATE_MOVES, GateStatus, closed


def move_gate(gate: ApprovalGate, target: GateStatus, **changes: Any) -> None:
    """Move `gate` to `target`. Raises GateClosed if somebody else was first; nothing changed."""
    seen = GateStatus(gate.status)
    if target not in GATE_MOVES[seen]:
        raise closed(gate.question())
    changes = {"decided_at": timezone.now(), **changes}
    # Compare-and-swap: of two writers, one sees zero rows.
    if not ApprovalGate.objects.filter(pk=gate.pk, status=seen.value).update(status=target.value, **changes):
        gate.refresh_from_db()
        raise GateAlreadyDecided(gate.pk, gate.status)
    gate.refresh_from_db()
    count(target)


def count(status: GateStatus) -> None:
    """Count a gate's new status once the transaction that gave it commits."""
    transaction.on_commit(approval_requests.labels(status=status.value).inc)

"""Who may decide a gate, and whether the gate still stands (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from approvals.errors import (
    GateAlreadyDecided,
    GateClosed,
    GateExpired,
    GateNotFound,
    GateVoid,
    NotAllowedToDecide,
    ReasonRequired,
    SelfApprovalForbidden,
)
from metabuilder.audit.chain import canonical


class GateStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    VOID = "void"  # what it was bound to changed


GATE_MOVES: Mapping[GateStatus, frozenset[GateStatus]] = {
    status: frozenset(GateStatus) - {GateStatus.PENDING} if status is GateStatus.PENDING else frozenset()
    for status in GateStatus
}


class Verdict(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"


DECIDING_ROLES = frozenset({"owner", "admin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GateQuestion:
    """A gate as the rules see it."""

    id: UUID
    status: GateStatus
    action: Mapping[str, Any]
    action_hash: str
    settings_hash: str
    requested_by_id: int | None  # None: the system asked
    expires_at: datetime | None  # None: never


def action_hash(action: Mapping[str, Any]) -> str:
    """Return the hash an approval is bound to; equal for equal actions, whatever the order of their keys."""
    return hashlib.sha256(canonical(action).encode()).hexdigest()


def check_may_decide(
    question: GateQuestion,
    *,
    actor_id: int,
    role: str | None,
    now: datetime,
    self_approval_allowed: bool,
    verdict: Verdict = Verdict.APPROVED,
    comment: str = "",
) -> None:
    """Raise the reason why this person may not give this verdict now. `role` None: not a member."""
    check_standing(question, role=role)
    if question.status is not GateStatus.PENDING:
        raise closed(question)
    if is_due(question, now):
        raise GateExpired(question.id, GateStatus.EXPIRED)
    if verdict is Verdict.REJECTED:
        if not comment.strip():
            raise ReasonRequired(question.id)
    elif is_own(question, actor_id) and not self_approval_allowed:
        raise SelfApprovalForbidden(question.id)


def check_standing(question: GateQuestion, *, role: str | None) -> None:
    """Raise GateNotFound for people outside the tenant and NotAllowedToDecide for those who only watch."""
    if role is None:
        raise GateNotFound(question.id)
    if role not in DECIDING_ROLES:
        raise NotAllowedToDecide(question.id, role)


def is_own(question: GateQuestion, actor_id: int) -> bool:
    return question.requested_by_id == actor_id


def is_due(question: GateQuestion, now: datetime) -> bool:
    """Has the time to decide passed?"""
    return question.expires_at is not None and question.expires_at <= now


def why_unbound(question: GateQuestion, settings_hash: str) -> str:
    """Return why an approval would no longer mean what was asked; empty if it would."""
    if action_hash(question.action) != question.action_hash:
        return "the action is not the one that was asked about"
    if settings_hash != question.settings_hash:
        return "the settings that govern it have changed"
    return ""


def closed(question: GateQuestion) -> GateClosed:
    """Return the error that says how the gate was closed."""
    error = {GateStatus.EXPIRED: GateExpired, GateStatus.VOID: GateVoid}.get(question.status, GateAlreadyDecided)
    return error(question.id, question.status)

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from approvals.errors import (
    GateAlreadyDecided,
    GateExpired,
    GateNotFound,
    GateVoid,
    NotAllowedToDecide,
    ReasonRequired,
    SelfApprovalForbidden,
)
from approvals.rules import (
    DECIDING_ROLES,
    GateQuestion,
    GateStatus,
    Verdict,
    action_hash,
    check_may_decide,
    why_unbound,
)
from metabuilder.builds.permissions import MAY, Action

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ACTION = {"type": "apply_patch", "patch": "x"}


def question(**changes):
    return GateQuestion(
        **{
            "id": UUID(int=1),
            "status": GateStatus.PENDING,
            "action": ACTION,
            "action_hash": action_hash(ACTION),
            "settings_hash": "s",
            "requested_by_id": 7,
            "expires_at": NOW + timedelta(seconds=1),
        }
        | changes
    )


def check(asked=None, **changes):
    check_may_decide(
        asked or question(),
        **{"actor_id": 8, "role": "admin", "now": NOW, "self_approval_allowed": False} | changes,
    )


@pytest.mark.parametrize(
    ("asked", "changes"),
    [
        ({}, {}),
        ({}, {"role": "owner"}),
        ({"expires_at": None}, {}),
        ({"requested_by_id": None}, {}),
        ({}, {"actor_id": 7, "self_approval_allowed": True}),
        (
            {},
            {"actor_id": 7, "verdict": Verdict.REJECTED, "comment": "no"},
        ),  # one may withdraw what one asked for
    ],
)
def test_check_may_decide__allowed__returns(asked, changes):
    check(question(**asked), **changes)


@pytest.mark.parametrize(
    ("error", "asked", "changes"),
    [
        (GateNotFound, {}, {"role": None}),
        (NotAllowedToDecide, {}, {"role": "developer"}),
        (NotAllowedToDecide, {}, {"role": "viewer"}),
        (SelfApprovalForbidden, {}, {"actor_id": 7}),
        (ReasonRequired, {}, {"verdict": Verdict.REJECTED}),
        (ReasonRequired, {}, {"verdict": Verdict.REJECTED, "comment": " \n"}),
        (GateExpired, {"expires_at": NOW}, {}),
        (GateExpired, {"status": GateStatus.EXPIRED}, {}),
        (GateVoid, {"status": GateStatus.VOID}, {}),
        (GateAlreadyDecided, {"status": GateStatus.APPROVED}, {}),
        (GateAlreadyDecided, {"status": GateStatus.REJECTED}, {}),
        (GateAlreadyDecided, {"status": GateStatus.CANCELLED}, {}),
        # Outsiders learn nothing of a gate, not even that it is closed.
        (GateNotFound, {"status": GateStatus.APPROVED}, {"role": None}),
    ],
)
def test_check_may_decide__not_allowed__says_why(error, asked, changes):
    with pytest.raises(error):
        check(question(**asked), **changes)


def test_deciding_roles__are_those_of_the_table_of_permissions():
    assert {role.value for role in MAY[Action.DECIDE]} == DECIDING_ROLES


def test_action_hash__same_action__is_equal_whatever_the_order_of_keys():
    assert action_hash({"a": 1, "b": [1, 2]}) == action_hash({"b": [1, 2], "a": 1.0})
    assert action_hash({"a": 1, "b": [2, 1]}) != action_hash({"a": 1, "b": [1, 2]})


def test_why_unbound__action_or_settings_changed__says_so():
    assert why_unbound(question(), "s") == ""
    assert "action" in why_unbound(question(action={**ACTION, "patch": "y"}), "s")
    assert "settings" in why_unbound(question(), "t")

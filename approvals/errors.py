from __future__ import annotations

from typing import ClassVar

from metabuilder.builds.errors import MetabuilderError


class GateNotFound(MetabuilderError):
    """No such gate, or none that the asker may know of. Nothing was changed."""

    code, http_status = "gate_not_found", 404

    def __init__(self, gate_id: object) -> None:
        super().__init__(f"no gate {gate_id}")


class NotAllowedToDecide(MetabuilderError):
    """Only owners and admins of the tenant decide. Nothing was changed."""

    code, http_status = "not_allowed_to_decide", 403

    def __init__(self, gate_id: object, role: str) -> None:
        super().__init__(f"gate {gate_id} is decided by an owner or admin; your role is {role}")


class SelfApprovalForbidden(MetabuilderError):
    """Somebody else has to approve what one asked for. Nothing was changed."""

    code, http_status = "self_approval_forbidden", 403

    def __init__(self, gate_id: object) -> None:
        super().__init__(f"gate {gate_id} was asked for by you; another owner or admin has to approve it")


class ReasonRequired(MetabuilderError):
    """A rejection says why. Nothing was changed."""

    code, http_status = "reason_required", 400

    def __init__(self, gate_id: object) -> None:
        super().__init__(f"rejecting gate {gate_id} needs a reason")


class GateClosed(MetabuilderError):
    """The gate takes no decision any more."""

    code: ClassVar[str] = "gate_closed"
    http_status: ClassVar[int] = 409

    def __init__(self, gate_id: object, status: str) -> None:
        self.gate_id, self.status = gate_id, status
        super().__init__(f"gate {gate_id} is already {status}")


class GateAlreadyDecided(GateClosed):
    """Another decision came first, or the run was cancelled. Nothing was changed; show what was recorded."""

    code = "gate_already_decided"


class GateExpired(GateClosed):
    """Nobody decided in time. The gate is expired now, and its run has been woken to roll back."""

    code = "gate_expired"


class GateVoid(GateClosed):
    """What the gate was bound to has changed. It is void now, and its run has been woken to decide anew."""

    code = "gate_void"

    def __init__(self, gate_id: object, status: str) -> None:
        super().__init__(gate_id, f"{status}: what it was bound to has changed")


class GateAlreadyOpen(MetabuilderError):
    """The run already waits at a gate; a run asks one question at a time. Nothing was changed."""

    code, http_status = "gate_already_open", 409

    def __init__(self, run_id: object) -> None:
        super().__init__(f"run {run_id} already has an open gate")

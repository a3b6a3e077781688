"""The one base of every error a caller can act on, and the errors of the build domain."""

from __future__ import annotations

from typing import ClassVar


class MetabuilderError(Exception):
    """Something a caller can act on. `code` is stable and machine-readable; `http_status` is what an API answers."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 400


class TransitionRefused(MetabuilderError):
    """The row is no longer in the status we saw. Nothing was changed; read it again."""

    code, http_status = "transition_refused", 409

    def __init__(self, subject: str, seen: str, target: str) -> None:
        self.subject, self.seen, self.target = subject, seen, target
        super().__init__(f"{subject} is no longer {seen}, so it was not moved to {target}")


class LeaseLost(MetabuilderError):
    """Another holder has the run now. Nothing was written; stop working on it."""

    code, http_status = "lease_lost", 409

    def __init__(self, run_id: object, fence: int) -> None:
        super().__init__(f"run {run_id}: the lease with fence {fence} is no longer ours")


class LeaseBusy(MetabuilderError):
    """Somebody else is working on the run. Nothing was changed; try again when they are done."""

    code, http_status = "lease_busy", 409

    def __init__(self, run_id: object) -> None:
        super().__init__(f"run {run_id} is being worked on by another process")


class RunNotFound(MetabuilderError):
    code, http_status = "run_not_found", 404

    def __init__(self, run_id: object) -> None:
        super().__init__(f"no run {run_id}")


class RunAmbiguous(MetabuilderError):
    code, http_status = "run_ambiguous", 400

    def __init__(self, prefix: str) -> None:
        super().__init__(f"more than one run begins with {prefix}; give more of its id")


class NotAllowed(MetabuilderError):
    """The actor's role does not reach. Nothing was changed."""

    code, http_status = "permission_denied", 403


class RunHeld(MetabuilderError):
    """The run waits on hold until somebody releases it. Nothing was done."""

    code, http_status = "run_held", 409

    def __init__(self, run_id: object) -> None:
        super().__init__(f"run {run_id} is on hold; release it first")


class RunNotRetryable(MetabuilderError):
    """Only a failed, rolled back or cancelled run can be retried. Nothing was changed."""

    code, http_status = "run_not_retryable", 409

    def __init__(self, run_id: object, status: str) -> None:
        super().__init__(f"run {run_id} is {status}; only failed, rolled back or cancelled runs can be retried")


class RunNotCancellable(MetabuilderError):
    """The run has already ended. Nothing was changed."""

    code, http_status = "run_not_cancellable", 409

    def __init__(self, run_id: object, status: str) -> None:
        super().__init__(f"run {run_id} has already ended: {status}")

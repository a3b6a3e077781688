"""What to do about a failure (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from autofix.failures import FailureSignal, FailureType


class Strategy(StrEnum):
    RETRY = "RETRY"
    PATCH = "PATCH"
    REPLAN = "REPLAN"
    ESCALATE = "ESCALATE"
    ROLLBACK = "ROLLBACK"
    GIVE_UP = "GIVE_UP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What could be done about a failure.

    `key` is stable for the same idea on the same failure ("python.requirement:webencodings"); it is what "already
    tried" and "healed before" go by. `risk` orders candidates: 0 formatting by the project's own tool, 2 declared
    dependency or generated migration, 4 a plan edit, 6 a codemod, 8 anything bolder. With `gate_reason` the
    candidate is never applied on its own: a person sees it as a proposal.
    """

    key: str
    fixer: str
    strategy: Strategy
    title: str
    risk: int = 5
    gate_reason: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)

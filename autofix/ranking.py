"""Which candidate comes first: what healed this failure before, then the less risky one (pure)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from autofix.decision import Candidate

_Z = 1.28  # one-sided 90%: one success weighs something, a few weigh more than luck


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How often a candidate was tried on a fingerprint in this tenant, and how often it healed."""

    key: str
    tried: int
    healed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    candidate: Candidate
    why: str  # the reason for its place, for people


def rank(
    candidates: Sequence[Candidate],
    history: Iterable[History] = (),
    *,
    harmful: Collection[str] = frozenset(),
) -> tuple[Ranked, ...]:
    """Return the candidates best first, without harmful ones and second copies of a key.

    What has healed comes before what has not been tried, and that before what was tried in vain; then the
    lower risk; then the order given. How sure we are of what healed is the lower end of its Wilson interval.
    """
    known = {entry.key: entry for entry in history}
    unique: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.key not in harmful:
            unique.setdefault(candidate.key, candidate)
    ordered = sorted(unique.values(), key=lambda c: (_doubt(known.get(c.key)), c.risk))  # the sort is stable
    return tuple(Ranked(candidate=c, why=_why(c, known.get(c.key))) for c in ordered)


def wilson_lower_bound(healed: int, tried: int) -> float:
    """Return a cautious share (0..1) of tries that heal: 0 for none, near healed/tried for many."""
    if tried <= 0:
        return 0.0
    share = min(max(healed, 0), tried) / tried
    spread = _Z * math.sqrt((share * (1 - share) + _Z**2 / (4 * tried)) / tried)
    return max(0.0, (share + _Z**2 / (2 * tried) - spread) / (1 + _Z**2 / tried))


def _doubt(entry: History | None) -> float:
    """Negative for what has healed, 0 for the untried, positive for what was tried in vain."""
    if entry is None or entry.tried <= 0:
        return 0.0
    if entry.healed <= 0:
        return 1.0 - 1.0 / (1 + entry.tried)
    return -wilson_lower_bound(entry.healed, entry.tried)


def _why(candidate: Candidate, entry: History | None) -> str:
    if entry is None or entry.tried <= 0:
        return f"not tried on this failure before; risk {candidate.risk}"
    return f"healed this failure {entry.healed} of {entry.tried} times; risk {candidate.risk}"

"""What to do about a failure (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from autofix.failures import FailureSignal, FailureType
from autofix.policy import MAX_RETRIES, RetryPolicy, add_jitter, server_wait
from settings_flags.resolution import EffectiveSettings


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

    `key` is stable for the same idea on the same failure ("python.requirement:webencodings"); it is what
    "already tried" and "healed before" go by. `risk` orders candidates: 0 formatting by the project's tool,
    2 declared dependency or generated migration, 4 a plan edit, 6 a codemod, 8 anything bolder. With
    `gate_reason` the candidate is never applied on its own: a person sees it as a proposal.
    """

    key: str
    fixer: str
    strategy: Strategy
    title: str
    risk: int = 5
    gate_reason: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


# A change here needs a person, whatever the fixers say.
PEOPLE_DECIDE = frozenset({FailureType.SECURITY, FailureType.POLICY})
# So does one that a step of these kinds asks for, whatever it failed of.
PEOPLE_DECIDE_KINDS = frozenset({"security", "policy"})
# What remains when nothing more may, or can, be tried.
WHEN_SPENT: Mapping[FailureType, Strategy] = {
    FailureType.TRANSIENT: Strategy.ESCALATE,
    FailureType.RATE_LIMIT: Strategy.ESCALATE,
    FailureType.INFRA: Strategy.ESCALATE,
    FailureType.TEST_ASSERT: Strategy.ROLLBACK,
    FailureType.LINT: Strategy.ESCALATE,
    FailureType.TYPECHECK: Strategy.ESCALATE,
    FailureType.SECURITY: Strategy.ESCALATE,
    FailureType.POLICY: Strategy.ESCALATE,
    FailureType.RUNTIME: Strategy.ROLLBACK,
    FailureType.SCHEMA_MIGRATION: Strategy.ESCALATE,
    FailureType.UNKNOWN: Strategy.ESCALATE,
}
CHANGES = frozenset({Strategy.PATCH, Strategy.REPLAN})
# These are retried without a reason in the output: UNKNOWN has none to show. Side-effect-free steps only.
_RETRIED_WITHOUT_REASON = frozenset({FailureType.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySnapshot:
    """What has been spent and learned so far, for one failed step in this iteration of its run.

    Attempts are those already charged. `retries` counts this step's retries by type, flake checks apart.
    `tried` and `harmful` hold candidate keys: tried on this fingerprint, and reverted because a later step
    failed with them. `same_failure_after_fix`: it is back although the fix `last_fix_key` passed its proof.
    """

    total_attempts: int = 0
    step_attempts: int = 0
    max_total_attempts: int = 6
    max_per_step_attempts: int = 3
    retries: Mapping[FailureType, int] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()
    harmful: frozenset[str] = frozenset()
    flake_checks: int = 0
    last_fix_key: str | None = None
    same_failure_after_fix: bool = False
    effects: str = "workspace"  # of the step: none, workspace or external
    kind: str = "other"  # of the step
    no_effect_yet: bool = False  # the step's probe showed that the last execution had no external effect
    anything_to_undo: bool = True
    deadline_passed: bool = False
    remaining_seconds: float | None = None  # until the deadline; None: there is none
    kill_switch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What will be done, and why. `inputs` is everything that the decision was made from.

    `candidate` is applied (PATCH, REPLAN); `proposal` is only shown to a person (ESCALATE). `delay_seconds`
    is the wait before a RETRY; without jitter it would be `unjittered_delay_seconds`.
    """

    strategy: Strategy
    reason: str
    candidate: Candidate | None = None
    proposal: Candidate | None = None
    flake_check: bool = False
    delay_seconds: float = 0.0
    unjittered_delay_seconds: float = 0.0
    server_told: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the decision and its inputs as JSON knows it: the decision record."""
        return {
            "strategy": self.strategy.value,
            "reason": self.reason,
            "candidate": _candidate_record(self.candidate),
            "proposal": _candidate_record(self.proposal),
            "flake_check": self.flake_check,
            "delay_seconds": self.delay_seconds,
            "unjittered_delay_seconds": self.unjittered_delay_seconds,
            "server_told": self.server_told,
            "inputs": dict(self.inputs),
        }


def decide(
    signal: FailureSignal,
    retry_state: RetrySnapshot,
    policy: RetryPolicy,
    settings: EffectiveSettings,
    candidates: Sequence[Candidate],
    *,
    jitter: float = 0.0,
    now: float = 0.0,
) -> Decision:
    """Choose what to do about `signal`. Every input gets a decision; this never raises.

    `candidates` come best first (see ranking). `jitter` (0..1) is drawn by the caller; `now`: epoch seconds.
    """
    case = _Case(signal, retry_state, policy, settings, candidates)
    decision = _stopped(case) or _for_people(case) or _out_of_budget(case)
    if decision is None:
        retry, why_not = _retry(case, jitter, now)
        decision = retry or _change(case) or _nothing_left(case, why_not)
    return replace(decision, inputs=_inputs(case, jitter, now))


class _Case:
    """The inputs of one decision, and what follows from them directly."""

    def __init__(
        self,
        signal: FailureSignal,
        state: RetrySnapshot,
        policy: RetryPolicy,
        settings: EffectiveSettings,
        candidates: Sequence[Candidate],
    ) -> None:
        self.signal, self.state, self.policy, self.settings = signal, state, policy, settings
        self.candidates = tuple(candidates)
        self.max_total = min(state.max_total_attempts, settings.max_total_attempts, policy.max_total_attempts)
        self.max_step = min(state.max_per_step_attempts, settings.max_per_step_attempts, policy.max_per_step_attempts)
        self.attempts_left = min(self.max_total - state.total_attempts, self.max_step - state.step_attempts)
        # A step with external effects is proven by running it, which is for a person to allow.
        self.may_run_again = state.effects != "external" or state.no_effect_yet
        may_change = settings.autonomy == "apply" and self.may_run_again and state.kind not in PEOPLE_DECIDE_KINDS
        left = [candidate for candidate in self.candidates if self._is_left(candidate)]
        self.applicable = [c for c in left if may_change and c.gate_reason is None]
        self.proposals = [c for c in left if c not in self.applicable]
        self.deterministic = bool(signal.details.get("deterministic"))
        self.flake_check_due = (
            signal.type is FailureType.TEST_ASSERT and state.effects == "none" and not state.flake_checks
        )

    def _is_left(self, candidate: Candidate) -> bool:
        state = self.state
        came_back = state.same_failure_after_fix and candidate.key == state.last_fix_key
        used = candidate.key in state.tried or candidate.key in state.harmful or came_back
        return candidate.strategy in CHANGES and not used

    @property
    def proposal(self) -> Candidate | None:
        return next(iter([*self.applicable, *self.proposals]), None)


def _stopped(case: _Case) -> Decision | None:
    reasons = (
        (case.state.kill_switch, "the kill switch is engaged"),
        (not case.settings.auto_fix_enabled, "auto-fix is switched off"),
        (case.state.deadline_passed, "the run's deadline has passed"),
    )
    reason = next((text for holds, text in reasons if holds), None)
    return None if reason is None else Decision(strategy=Strategy.GIVE_UP, reason=reason)


def _for_people(case: _Case) -> Decision | None:
    if case.signal.type not in PEOPLE_DECIDE and not case.signal.requires_approval:
        return None
    return Decision(
        strategy=Strategy.ESCALATE,
        reason=f"a {case.signal.type} failure is for people to decide: {case.signal.message}",
        proposal=case.proposal,
    )


def _out_of_budget(case: _Case) -> Decision | None:
    if case.attempts_left > 0:
        return None
    state = case.state
    if state.step_attempts >= case.max_step:
        reason = f"budget exhausted: {state.step_attempts} of {case.max_step} attempts for this step are used"
    else:
        reason = f"budget exhausted: {state.total_attempts} of {case.max_total} attempts of this run are used"
    return _spent(case, reason)


def _retry(case: _Case, jitter: float, now: float) -> tuple[Decision | None, str]:
    """A retry or flake check; or None, and why waiting and trying again is not the answer."""
    if why_not := _why_no_retry(case):
        return None, why_not
    if case.flake_check_due:
        reason = "flake check: the same tests once more on an unchanged tree"
        return Decision(strategy=Strategy.RETRY, reason=reason, flake_check=True), ""
    number = case.state.retries.get(case.signal.type, 0) + 1
    own = case.policy.delay_seconds(case.signal.type, number)
    cap = case.settings.backoff_cap_seconds
    delay, unjittered = min(cap, case.policy.delay_seconds(case.signal.type, number, jitter=jitter)), min(cap, own)
    told = server_wait(case.signal.details, now=now)
    if told:
        cap = case.settings.retry_after_cap_seconds
        if told > cap:
            return None, f"the server asks for a wait of {told:.0f} s, and at most {cap:.0f} s are allowed"
        delay, unjittered = max(delay, add_jitter(told, jitter=jitter, cap=cap)), max(unjittered, told)
    remaining = case.state.remaining_seconds
    if remaining is not None and not delay < remaining:
        return None, f"a wait of {delay:.0f} s would pass the run's deadline"
    allowed = case.policy.retries_for(case.signal.type)
    who = ", as the server asked" if told else ""
    return Decision(
        strategy=Strategy.RETRY,
        reason=f"retry {number} of {allowed} after {delay:.1f} s{who}: {case.signal.message}",
        delay_seconds=delay,
        unjittered_delay_seconds=unjittered,
        server_told=bool(told),
    ), ""


def _why_no_retry(case: _Case) -> str:
    """Empty where a retry, or a flake check, is due."""
    signal, state = case.signal, case.state
    allowed, done = case.policy.retries_for(signal.type), state.retries.get(signal.type, 0)
    if not case.may_run_again:
        return "the step has effects outside the workspace and is not run again blind"
    if case.deterministic:
        return "the cause is deterministic, so the same command would fail again"
    if signal.requires_replan and case.applicable:
        return "the plan has to change first"
    if case.attempts_left == 1 and case.applicable:
        return "the last attempt is kept for a fix"
    if case.flake_check_due:
        return ""
    if signal.type in _RETRIED_WITHOUT_REASON and state.effects != "none":
        return "the output gives no reason to retry, and the step has effects"
    if not allowed:
        return f"{signal.type} failures are not retried"
    if done >= allowed:
        return f"all {allowed} retries of {signal.type} are used"
    # Retries that somebody granted to a type which has none by default are reason enough.
    granted = signal.type in _RETRIED_WITHOUT_REASON or not MAX_RETRIES[signal.type]
    return "" if signal.can_retry or granted else "the output gives no reason to expect that waiting helps"


def _change(case: _Case) -> Decision | None:
    if not case.applicable:
        return None
    candidate = case.applicable[0]
    reason = candidate.title
    if case.state.same_failure_after_fix:
        reason += f" (the same failure came back after {case.state.last_fix_key})"
    return Decision(strategy=candidate.strategy, reason=reason, candidate=candidate)


def _nothing_left(case: _Case, why_no_retry: str) -> Decision:
    if case.proposals:
        return _spent(case, why_no_retry)
    fixes = "every fix that applies has been tried" if case.state.tried else "no fix applies"
    return _spent(case, f"{fixes}, and {why_no_retry}")


def _spent(case: _Case, reason: str) -> Decision:
    """What remains: a question to people where a fix waits for one, else what the type's row says."""
    strategy = WHEN_SPENT[case.signal.type]
    if case.proposals:
        waiting = case.proposals[0]
        if waiting.gate_reason is not None:
            why = waiting.gate_reason
        elif case.state.kind in PEOPLE_DECIDE_KINDS:
            why = f"a {case.state.kind} step is for people to decide"
        elif not case.may_run_again:
            why = "proving it would run a step with effects outside the workspace again"
        else:
            why = "fixes are only proposed here"
        reason = f"{waiting.title} needs a person: {why} ({reason})"
        return Decision(strategy=Strategy.ESCALATE, reason=reason, proposal=waiting)
    if strategy is Strategy.ROLLBACK and not case.state.anything_to_undo:
        return Decision(strategy=Strategy.GIVE_UP, reason=f"{reason}; there is nothing to undo")
    if strategy is Strategy.ESCALATE:
        return Decision(strategy=strategy, reason=reason, proposal=case.proposal)
    return Decision(strategy=strategy, reason=reason)


def _inputs(case: _Case, jitter: float, now: float) -> dict[str, Any]:
    signal, state = case.signal, case.state
    return {
        "signal": {
            "type": signal.type.value,
            "confidence": _json(signal.confidence),
            "message": signal.message,
            "fingerprint": signal.fingerprint,
            "can_retry": signal.can_retry,
            "requires_replan": signal.requires_replan,
            "requires_approval": signal.requires_approval,
            "details": _json(signal.details),
            "evidence": [{"line": line.number, "rule": line.rule} for line in signal.evidence],
            "others": [other.value for other in signal.others],
        },
        "retry_state": {name: _json(getattr(state, name)) for name in RetrySnapshot.__slots__},
        "policy": _json(case.policy.fields()),
        "settings": case.settings.as_dict(),
        "candidates": [_candidate_record(candidate) for candidate in case.candidates],
        "jitter": _json(jitter),
        "now": _json(now),
    }


def _candidate_record(candidate: Candidate | None) -> dict[str, Any] | None:
    if candidate is None:
        return None
    return {
        "key": candidate.key,
        "fixer": candidate.fixer,
        "strategy": candidate.strategy.value,
        "title": candidate.title,
        "risk": candidate.risk,
        "gate_reason": candidate.gate_reason,
    }


def _json(value: Any) -> Any:
    """`value` as jsonb takes it: no NaN, no infinity, no keys but text; anything foreign as its text."""
    if isinstance(value, Mapping):
        return {str(key): _json(entry) for key, entry in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [_json(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

"""Whatever happens, driven in a loop that pays as the orchestrator does: before each attempt."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from autofix.decision import CHANGES, PEOPLE_DECIDE, Candidate, RetrySnapshot, Strategy, decide
from autofix.failures import FailureSignal, FailureType
from autofix.policy import server_wait
from settings_flags.resolution import EffectiveSettings
from tests.autofix.test_policy import JITTERS, policies

F, S = FailureType, Strategy
KEYS = st.sampled_from([f"key{n}" for n in range(6)])
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        key=KEYS,
        fixer=st.just("f"),
        strategy=st.sampled_from(Strategy),
        title=st.just("a fix"),
        risk=st.integers(0, 9),
        gate_reason=st.none() | st.just("touches a protected path"),
    ),
    max_size=5,
)
WAITS = st.one_of(st.none(), st.floats(), st.integers(-10, 2000), st.text(max_size=3))
SIGNALS = st.builds(
    FailureSignal,
    type=st.sampled_from(FailureType),
    confidence=st.floats(0, 1),
    message=st.text(max_size=10),
    can_retry=st.booleans(),
    requires_replan=st.booleans(),
    requires_approval=st.sampled_from([False, False, False, True]),
    details=st.fixed_dictionaries(
        {}, optional={"retry_after": WAITS, "retry_at": WAITS, "deterministic": st.booleans()}
    ),
)
STATES = st.builds(
    RetrySnapshot,
    total_attempts=st.integers(0, 5),
    step_attempts=st.integers(0, 3),
    max_total_attempts=st.integers(0, 20),
    max_per_step_attempts=st.integers(0, 20),
    tried=st.frozensets(KEYS),
    harmful=st.frozensets(KEYS),
    flake_checks=st.integers(0, 1),
    last_fix_key=st.none() | KEYS,
    same_failure_after_fix=st.booleans(),
    effects=st.sampled_from(["none", "workspace", "external"]),
    no_effect_yet=st.booleans(),
    anything_to_undo=st.booleans(),
    deadline_passed=st.sampled_from([False, False, False, True]),
    remaining_seconds=st.none() | st.floats(allow_nan=True),
    kill_switch=st.sampled_from([False, False, False, True]),
)
SETTINGS = st.builds(
    EffectiveSettings,
    auto_fix_enabled=st.sampled_from([True, True, True, False]),
    autonomy=st.sampled_from(["apply", "apply", "propose"]),
    max_total_attempts=st.integers(0, 20),
    max_per_step_attempts=st.integers(0, 10),
    retry_after_cap_seconds=st.floats(0, 3600),
)


def charged(state, failure, decision):
    """The state after a decision was paid for."""
    state = replace(state, total_attempts=state.total_attempts + 1, step_attempts=state.step_attempts + 1)
    if decision.candidate:
        return replace(state, tried=state.tried | {decision.candidate.key}, last_fix_key=decision.candidate.key)
    if decision.flake_check:
        return replace(state, flake_checks=state.flake_checks + 1)
    retries = {**state.retries, failure.type: state.retries.get(failure.type, 0) + 1}
    return replace(state, retries=retries)


def usable(candidates, state):
    """What could still be applied, in the words of the design rather than of the code under test."""
    returned = {state.last_fix_key} if state.same_failure_after_fix else set()
    gone = state.tried | state.harmful | returned
    return [c for c in candidates if c.strategy in CHANGES and c.gate_reason is None and c.key not in gone]


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(SIGNALS, CANDIDATES, JITTERS, st.floats(0, 2e9)), min_size=1, max_size=8),
    STATES,
    policies(),
    SETTINGS,
)
def test_decide__any_sequence_of_failures__keeps_every_promise(failures, state, policy, settings):
    delays = {}
    max_total = min(state.max_total_attempts, settings.max_total_attempts, policy.max_total_attempts)
    max_step = min(state.max_per_step_attempts, settings.max_per_step_attempts, policy.max_per_step_attempts)
    started = (state.total_attempts, state.step_attempts)

    for number in range(100):
        failure, candidates, jitter, now = failures[number % len(failures)]
        decision = decide(failure, state, policy, settings, candidates, jitter=jitter, now=now)

        assert isinstance(decision.strategy, Strategy)
        assert decision.reason
        json.dumps(decision.record(), allow_nan=False)
        if decision.strategy in (S.ESCALATE, S.ROLLBACK, S.GIVE_UP):
            assert decision.candidate is None
            break

        assert settings.auto_fix_enabled
        assert not state.kill_switch
        assert not state.deadline_passed
        assert failure.type not in PEOPLE_DECIDE
        assert state.effects != "external" or state.no_effect_yet
        left = min(max_total - state.total_attempts, max_step - state.step_attempts)
        assert left >= 1
        if decision.strategy is S.RETRY:
            check_retry(decision, failure, state, policy, settings, candidates, now, left, delays)
        else:
            assert settings.autonomy == "apply"
            assert decision.candidate in usable(candidates, state)
            assert decision.candidate.strategy is decision.strategy
        state = charged(state, failure, decision)
    else:
        pytest.fail("the loop did not end")

    assert state.total_attempts <= max(max_total, started[0])
    assert state.step_attempts <= max(max_step, started[1])
    for failure_type, count in state.retries.items():
        assert count <= policy.retries_for(failure_type)


def check_retry(decision, failure, state, policy, settings, candidates, now, left, delays):
    if settings.autonomy == "apply":
        assert left > 1 or not usable(candidates, state)
    if decision.flake_check:
        assert (state.flake_checks, state.effects, decision.delay_seconds) == (0, "none", 0.0)
        return
    if failure.type is F.UNKNOWN:
        assert state.effects == "none"
    told = server_wait(failure.details, now=now)
    if decision.server_told:
        assert told <= decision.delay_seconds
        assert told <= settings.retry_after_cap_seconds
        return
    assert not told
    assert decision.unjittered_delay_seconds <= policy.max_delay
    assert decision.unjittered_delay_seconds >= delays.get(failure.type, 0.0)
    delays[failure.type] = decision.unjittered_delay_seconds
    assert decision.delay_seconds >= decision.unjittered_delay_seconds / 2
    assert decision.delay_seconds <= decision.unjittered_delay_seconds
    if state.remaining_seconds is not None:
        assert decision.delay_seconds < state.remaining_seconds

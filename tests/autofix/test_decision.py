import json
import math
from dataclasses import replace

import pytest

from autofix.decision import Candidate, RetrySnapshot, Strategy, decide
from autofix.failures import FailureSignal, FailureType
from autofix.policy import RetryPolicy
from settings_flags.resolution import EffectiveSettings

F, S = FailureType, Strategy
FIX = Candidate(key="fix", fixer="f", strategy=S.PATCH, title="a fix")
REPLAN = Candidate(key="replan", fixer="f", strategy=S.REPLAN, title="a re-plan")
GATED = Candidate(key="gated", fixer="f", strategy=S.PATCH, title="a bold fix", gate_reason="deletes a test")


def signal(failure_type, **fields):
    return FailureSignal(type=failure_type, confidence=0.9, message="it broke", **fields)


def made(
    failure_signal, *candidates, state=None, policy=None, settings=None, jitter=0.0, now=0.0
):  # a decision with the defaults of everything that a test is not about
    return decide(
        failure_signal,
        state or RetrySnapshot(),
        policy or RetryPolicy(),
        settings or EffectiveSettings(),
        candidates,
        jitter=jitter,
        now=now,
    )


@pytest.mark.parametrize(
    ("failure_signal", "effects", "first", "with_fix", "when_spent"),
    [
        (signal(F.TRANSIENT, can_retry=True), "workspace", S.RETRY, S.RETRY, S.ESCALATE),
        (signal(F.RATE_LIMIT, can_retry=True), "workspace", S.RETRY, S.RETRY, S.ESCALATE),
        (signal(F.INFRA, can_retry=True), "workspace", S.RETRY, S.RETRY, S.ESCALATE),
        (signal(F.INFRA), "workspace", S.ESCALATE, S.PATCH, S.ESCALATE),
        (signal(F.INFRA, can_retry=True, requires_replan=True), "workspace", S.RETRY, S.PATCH, S.ESCALATE),
        (signal(F.LINT), "none", S.ESCALATE, S.PATCH, S.ESCALATE),
        (signal(F.TYPECHECK), "none", S.ESCALATE, S.PATCH, S.ESCALATE),
        (signal(F.TEST_ASSERT), "none", S.RETRY, S.RETRY, S.ROLLBACK),  # the flake check
        (signal(F.TEST_ASSERT), "workspace", S.ROLLBACK, S.PATCH, S.ROLLBACK),
        (signal(F.TEST_ASSERT, requires_replan=True), "none", S.RETRY, S.PATCH, S.ROLLBACK),
        (signal(F.TEST_ASSERT, details={"deterministic": True}), "none", S.ROLLBACK, S.PATCH, S.ROLLBACK),
        (signal(F.RUNTIME, can_retry=True), "workspace", S.RETRY, S.RETRY, S.ROLLBACK),
        (signal(F.RUNTIME), "workspace", S.ROLLBACK, S.PATCH, S.ROLLBACK),
        (
            signal(F.RUNTIME, can_retry=True, details={"deterministic": True}),
            "workspace",
            S.ROLLBACK,
            S.PATCH,
            S.ROLLBACK,
        ),
        (signal(F.SCHEMA_MIGRATION), "workspace", S.ESCALATE, S.PATCH, S.ESCALATE),
        (signal(F.SECURITY, can_retry=True), "none", S.ESCALATE, S.ESCALATE, S.ESCALATE),
        (signal(F.POLICY, can_retry=True), "none", S.ESCALATE, S.ESCALATE, S.ESCALATE),
        (signal(F.UNKNOWN), "none", S.RETRY, S.RETRY, S.ESCALATE),
        (signal(F.UNKNOWN, can_retry=True), "workspace", S.ESCALATE, S.PATCH, S.ESCALATE),
    ],
)
def test_decide__each_row_of_the_strategy_table__is_followed(failure_signal, effects, first, with_fix, when_spent):
    fresh = RetrySnapshot(effects=effects)
    spent = RetrySnapshot(effects=effects, step_attempts=3)

    assert made(failure_signal, state=fresh).strategy is first
    assert made(failure_signal, FIX, state=fresh).strategy is with_fix
    assert made(failure_signal, state=spent).strategy is when_spent


def test_decide__failure_of_a_type_people_own__offers_the_fix_as_a_proposal():
    decision = made(signal(F.SECURITY), FIX)

    assert (decision.strategy, decision.candidate, decision.proposal) == (S.ESCALATE, None, FIX)


def test_decide__signal_requires_approval__is_escalated():
    decision = made(signal(F.LINT, requires_approval=True), FIX)

    assert (decision.strategy, decision.candidate, decision.proposal) == (S.ESCALATE, None, FIX)


@pytest.mark.parametrize(
    ("state", "effective", "reason"),
    [
        (RetrySnapshot(kill_switch=True), EffectiveSettings(), "kill switch"),
        (RetrySnapshot(deadline_passed=True), EffectiveSettings(), "deadline"),
        (RetrySnapshot(), EffectiveSettings(auto_fix_enabled=False), "switched off"),
    ],
)
@pytest.mark.parametrize("failure_type", [F.TRANSIENT, F.SECURITY, F.TEST_ASSERT])
def test_decide__stopped__gives_up_and_says_why(state, effective, reason, failure_type):
    decision = made(signal(failure_type, can_retry=True), FIX, state=state, settings=effective)

    assert decision.strategy is S.GIVE_UP
    assert reason in decision.reason


def test_decide__nothing_applies_and_nothing_to_undo__gives_up():
    decision = made(signal(F.RUNTIME), state=RetrySnapshot(anything_to_undo=False))

    assert decision.strategy is S.GIVE_UP


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RetrySnapshot(step_attempts=3), "3 of 3 attempts for this step"),
        (RetrySnapshot(total_attempts=6), "6 of 6 attempts of this run"),
        (RetrySnapshot(step_attempts=2, max_per_step_attempts=2), "2 of 2 attempts for this step"),
    ],
)
def test_decide__budget_spent__escalates_and_says_which(state, words):
    decision = made(signal(F.TRANSIENT, can_retry=True), FIX, state=state)

    assert decision.strategy is S.ESCALATE
    assert "budget exhausted" in decision.reason
    assert words in decision.reason
    assert decision.proposal == FIX


def test_decide__lower_budget_of_settings_row_and_policy__counts():
    failure, roomy = signal(F.TRANSIENT, can_retry=True), RetryPolicy(max_per_step_attempts=9)
    state = RetrySnapshot(step_attempts=2, max_per_step_attempts=9)

    tight = EffectiveSettings(max_per_step_attempts=2)
    assert made(failure, state=state, policy=roomy, settings=tight).strategy is S.ESCALATE
    assert made(failure, state=state, policy=roomy).strategy is S.RETRY
    assert made(failure, state=state, policy=RetryPolicy(max_per_step_attempts=2)).strategy is S.ESCALATE


@pytest.mark.parametrize(
    "state", [RetrySnapshot(step_attempts=2), RetrySnapshot(total_attempts=5)], ids=["step", "run"]
)
def test_decide__last_attempt__is_kept_for_a_fix(state):
    failure = signal(F.TRANSIENT, can_retry=True)

    assert made(failure, REPLAN, state=state).candidate == REPLAN
    assert made(failure, REPLAN, state=replace(state, tried=frozenset({"replan"}))).strategy is S.RETRY
    assert made(failure, GATED, state=state).strategy is S.RETRY  # what is never applied needs no attempt


def test_decide__retries_spent__turns_to_the_candidates():
    state = RetrySnapshot(step_attempts=1, retries={F.RUNTIME: 1})

    assert made(signal(F.RUNTIME, can_retry=True), FIX, state=state).candidate == FIX


def test_decide__tried_harmful_or_returned__is_not_offered_again():
    failure = signal(F.LINT)

    assert made(failure, FIX, REPLAN, state=RetrySnapshot(tried=frozenset({"fix"}))).candidate == REPLAN
    assert made(failure, FIX, REPLAN, state=RetrySnapshot(harmful=frozenset({"fix"}))).candidate == REPLAN
    came_back = made(failure, FIX, REPLAN, state=RetrySnapshot(last_fix_key="fix", same_failure_after_fix=True))
    assert came_back.candidate == REPLAN
    assert "came back after fix" in came_back.reason
    assert made(failure, FIX, state=RetrySnapshot(tried=frozenset({"fix"}))).proposal is None


@pytest.mark.parametrize("failure_type", [F.LINT, F.TEST_ASSERT])
def test_decide__only_a_gated_candidate_left__is_proposed_with_its_rule(failure_type):
    decision = made(signal(failure_type), GATED)

    assert (decision.strategy, decision.candidate, decision.proposal) == (S.ESCALATE, None, GATED)
    assert "deletes a test" in decision.reason


def test_decide__gated_candidate_first__later_one_is_applied():
    assert made(signal(F.LINT), GATED, FIX).candidate == FIX


def test_decide__autonomy_propose__retries_but_only_proposes_fixes():
    settings = EffectiveSettings(autonomy="propose")
    lint = made(signal(F.LINT), FIX, settings=settings)

    assert (lint.strategy, lint.candidate, lint.proposal) == (S.ESCALATE, None, FIX)
    assert made(signal(F.TRANSIENT, can_retry=True), FIX, settings=settings).strategy is S.RETRY


def test_decide__external_effects__neither_retried_nor_fixed_blind():
    failure, outside = signal(F.TRANSIENT, can_retry=True), RetrySnapshot(effects="external")

    blind = made(failure, FIX, state=outside)
    assert (blind.strategy, blind.proposal) == (S.ESCALATE, FIX)
    assert "outside the workspace" in blind.reason
    assert made(failure, state=replace(outside, no_effect_yet=True)).strategy is S.RETRY


def test_decide__tests_failed__are_checked_for_flakiness_once():
    state = RetrySnapshot(effects="none")
    first = made(signal(F.TEST_ASSERT), FIX, state=state)
    second = made(signal(F.TEST_ASSERT), FIX, state=replace(state, flake_checks=1, step_attempts=1))

    assert (first.strategy, first.flake_check, first.delay_seconds) == (S.RETRY, True, 0.0)
    assert (second.candidate, second.flake_check) == (FIX, False)


def test_decide__retries_granted_to_a_type_without_any__are_made():
    granted = RetryPolicy(max_retries={F.TEST_ASSERT: 1})
    state = RetrySnapshot(effects="none", flake_checks=1, step_attempts=1)

    assert made(signal(F.TEST_ASSERT), state=state, policy=granted).strategy is S.RETRY
    assert made(signal(F.TEST_ASSERT), state=state).strategy is S.ROLLBACK


def test_decide__server_names_a_wait__is_waited_for_in_full():
    failure = signal(F.RATE_LIMIT, can_retry=True, details={"retry_after": 120})
    decision = made(failure, jitter=1.0)

    assert decision.server_told
    assert decision.unjittered_delay_seconds == 120
    assert decision.delay_seconds == 132
    assert "as the server asked" in decision.reason


def test_decide__server_names_a_time__is_counted_from_now():
    failure = signal(F.RATE_LIMIT, can_retry=True, details={"retry_at": 5030.0})

    assert made(failure, now=5000.0).delay_seconds == 30


def test_decide__server_wait_above_the_cap__is_not_retried():
    failure = signal(F.RATE_LIMIT, can_retry=True, details={"retry_after": 901})

    decision = made(failure)

    assert decision.strategy is S.ESCALATE
    assert "wait of 901 s" in decision.reason
    assert made(failure, REPLAN).candidate == REPLAN


def test_decide__wait_would_pass_the_deadline__is_not_retried():
    failure = signal(F.RATE_LIMIT, can_retry=True, details={"retry_after": 60})

    late = made(failure, state=RetrySnapshot(remaining_seconds=59))
    assert late.strategy is S.ESCALATE
    assert "deadline" in late.reason
    assert made(failure, state=RetrySnapshot(remaining_seconds=61)).strategy is S.RETRY


def test_record__strange_values__are_still_json():
    failure = signal(F.UNKNOWN, details={"retry_after": math.nan, "names": {"b", "a"}, 3: object})

    record = made(failure, FIX, GATED, state=RetrySnapshot(tried=frozenset({"y", "x"}))).record()

    text = json.dumps(record, allow_nan=False)
    assert record["inputs"]["retry_state"]["tried"] == ["x", "y"]
    assert record["inputs"]["settings"]["max_total_attempts"] == 10
    assert [c["key"] for c in record["inputs"]["candidates"]] == ["fix", "gated"]
    assert json.loads(text) == record

"""The guide's agent and its retry policy."""

from __future__ import annotations

import pytest

from autofix.auto_fixer import AutoFixerAgentV3, FailureType, RetryPolicy, Strategy
from autofix.decision import Candidate, RetrySnapshot
from autofix.policy import InvalidRetryPolicy
from settings_flags.resolution import EffectiveSettings
from tests.engine import ASSERTION, CUT_OFF, LEAK


@pytest.fixture
def agent():
    return AutoFixerAgentV3()


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (CUT_OFF, FailureType.TRANSIENT),
        (ASSERTION, FailureType.TEST_ASSERT),
        (LEAK, FailureType.SECURITY),
        ("HTTP/1.1 429 Too Many Requests\nRetry-After: 7", FailureType.RATE_LIMIT),
        ("all is well", FailureType.UNKNOWN),
    ],
)
def test_classify__real_output__names_the_type(agent, log, expected):
    assert agent.classify("step", log).type is expected
    assert agent.classify("step", log.encode(), exit_code=1).type is expected


def test_decide__transient__is_retried_after_the_policys_delay(agent):
    decision = agent.decide(agent.classify("fetch", CUT_OFF))
    assert (decision.strategy, decision.delay_seconds) == (Strategy.RETRY, 1.0)
    later = agent.decide(agent.classify("fetch", CUT_OFF), RetrySnapshot(retries={FailureType.TRANSIENT: 2}))
    assert later.delay_seconds == 4.0


def test_decide__jitter__never_less_than_half(agent):
    assert agent.decide(agent.classify("fetch", CUT_OFF), jitter=1.0).delay_seconds == 0.5


def test_decide__server_says_when__is_waited_out(agent):
    log = "HTTP/1.1 429 Too Many Requests\nRetry-After: 7"
    assert agent.decide(agent.classify("fetch", log), jitter=1.0).delay_seconds >= 7


def test_decide__retries_used__escalates_or_takes_the_fix(agent):
    signal, spent = agent.classify("fetch", CUT_OFF), RetrySnapshot(retries={FailureType.TRANSIENT: 3}, step_attempts=2)
    assert agent.decide(signal, spent).strategy is Strategy.ESCALATE
    fix = Candidate(key="k", fixer="f", strategy=Strategy.REPLAN, title="t")
    assert agent.decide(signal, spent, candidates=[fix]).candidate == fix


def test_decide__security__is_for_people_whatever_there_is(agent):
    fix = Candidate(key="k", fixer="f", strategy=Strategy.PATCH, title="t", risk=0)
    decision = agent.decide(agent.classify("scan", LEAK), candidates=[fix])
    assert (decision.strategy, decision.candidate, decision.proposal) == (Strategy.ESCALATE, None, fix)


def test_decide__auto_fix_off__gives_up(agent):
    off = EffectiveSettings(auto_fix_enabled=False)
    assert agent.decide(agent.classify("fetch", CUT_OFF), settings=off).strategy is Strategy.GIVE_UP


def test_agent__policy__is_copied_on_entry():
    policy = RetryPolicy(max_retries={"TRANSIENT": 1})
    agent = AutoFixerAgentV3(policy)
    policy.max_retries["TRANSIENT"] = 9
    signal = agent.classify("fetch", CUT_OFF)
    assert agent.decide(signal, RetrySnapshot(retries={FailureType.TRANSIENT: 1})).strategy is Strategy.ESCALATE


def test_retry_policy__defaults__are_the_guides():
    policy = RetryPolicy()
    assert {t.value: n for t, n in policy.max_retries.items()} == {
        "TRANSIENT": 3,
        "INFRA": 2,
        "TEST_ASSERT": 0,
        "LINT": 0,
        "TYPECHECK": 0,
        "SECURITY": 0,
        "POLICY": 0,
        "RUNTIME": 1,
        "SCHEMA_MIGRATION": 0,
        "RATE_LIMIT": 3,
        "UNKNOWN": 2,
    }
    multipliers = {t.value: m for t, m in policy.backoff_multiplier.items()}
    assert multipliers == {"TRANSIENT": 2.0, "INFRA": 1.5, "RATE_LIMIT": 2.0, "RUNTIME": 1.0, "UNKNOWN": 1.5}
    assert (policy.base_delay, policy.max_delay) == (1.0, 60.0)
    assert (policy.max_total_attempts, policy.max_per_step_attempts) == (6, 3)


def test_retry_policy__delay__grows_to_the_cap():
    policy = RetryPolicy()
    delays = [policy.delay_seconds(FailureType.TRANSIENT, n) for n in range(1, 9)]
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize("wrong", [{"max_retries": {"NOPE": 1}}, {"base_delay": -1}, {"max_total_attempts": "many"}])
def test_retry_policy__wrong_value__is_refused(wrong):
    with pytest.raises(InvalidRetryPolicy):
        RetryPolicy(**wrong)

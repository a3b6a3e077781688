import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from autofix.failures import FailureType
from autofix.policy import InvalidRetryPolicy, RetryPolicy, add_jitter, policy_from_settings, server_wait
from settings_flags.resolution import EffectiveSettings

TYPES = st.sampled_from(FailureType)
JITTERS = st.floats(0, 1)


@st.composite
def policies(draw):
    return RetryPolicy(
        max_retries=draw(st.dictionaries(TYPES, st.integers(0, 8))),
        backoff_multiplier=draw(st.dictionaries(TYPES, st.floats(1, 1e6))),
        base_delay=draw(st.floats(0, 1e9)),
        max_delay=draw(st.floats(0, 1e9)),
        max_total_attempts=draw(st.integers(0, 12)),
        max_per_step_attempts=draw(st.integers(0, 12)),
    )


def test_retry_policy__nothing_given__has_the_documented_defaults():
    policy = RetryPolicy()

    assert policy.max_retries == {
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
    assert policy.backoff_multiplier == {
        "TRANSIENT": 2.0,
        "INFRA": 1.5,
        "RATE_LIMIT": 2.0,
        "RUNTIME": 1.0,
        "UNKNOWN": 1.5,
    }
    assert (policy.base_delay, policy.max_delay) == (1.0, 60.0)
    assert (policy.max_total_attempts, policy.max_per_step_attempts) == (6, 3)


def test_retry_policy__type_as_text__is_the_same_key():
    policy = RetryPolicy(max_retries={"transient": 5, FailureType.INFRA: 4})

    assert policy.retries_for(FailureType.TRANSIENT) == 5
    assert policy.retries_for(FailureType.INFRA) == 4
    assert policy.retries_for(FailureType.RATE_LIMIT) == 3  # what is left out keeps its default


def test_copy__original_changed_later__copy_is_untouched():
    policy = RetryPolicy()
    copy = policy.copy()

    policy.max_retries[FailureType.TRANSIENT] = 9
    policy.base_delay = 5.0

    assert copy == RetryPolicy()
    assert copy != policy


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_retries": {"TRANSIENT": -1}}, r"max_retries\[TRANSIENT\]: -1 is negative"),
        ({"max_retries": {"TRANSIENT": True}}, "whole number"),
        ({"max_retries": {"TRANSIENT": 1.5}}, "whole number"),
        ({"max_retries": {"TRANSIEND": 1}}, "'TRANSIEND' is not a failure type"),
        ({"backoff_multiplier": {"INFRA": 0.5}}, r"backoff_multiplier\[INFRA\]: 0.5 is below 1"),
        ({"backoff_multiplier": {"INFRA": math.nan}}, "finite"),
        ({"base_delay": -0.1}, "base_delay: -0.1 is below 0"),
        ({"base_delay": "1"}, "base_delay: expected a finite number"),
        ({"max_delay": math.inf}, "max_delay: expected a finite number"),
        ({"max_total_attempts": -1}, "max_total_attempts: -1 is negative"),
        ({"max_per_step_attempts": None}, "max_per_step_attempts: expected a whole number"),
    ],
)
def test_retry_policy__senseless_field__is_refused_by_name(fields, message):
    with pytest.raises(InvalidRetryPolicy, match=message):
        RetryPolicy(**fields)


def test_copy__senseless_value_assigned_since__is_refused():
    policy = RetryPolicy()
    policy.max_delay = math.nan

    with pytest.raises(InvalidRetryPolicy, match="max_delay"):
        policy.copy()


@pytest.mark.parametrize(
    ("failure_type", "delays"),
    [
        ("TRANSIENT", [1, 2, 4, 8, 16, 32, 60, 60]),
        ("INFRA", [1, 1.5, 2.25]),
        ("RUNTIME", [1, 1]),
        ("LINT", [1, 1]),  # no multiplier of its own
    ],
)
def test_delay_seconds__no_jitter__is_capped_exponential(failure_type, delays):
    policy = RetryPolicy()

    assert [policy.delay_seconds(FailureType(failure_type), n + 1) for n in range(len(delays))] == delays


@hypothesis_settings(deadline=None)  # a busy machine is no failure
@given(policies(), TYPES, st.integers(1, 10**400), st.integers(0, 5), JITTERS)
def test_delay_seconds__any_policy__never_decreases_nor_leaves_its_bounds(policy, kind, number, more, jitter):
    delay = policy.delay_seconds(kind, number)

    assert 0 <= delay <= policy.max_delay
    assert delay <= policy.delay_seconds(kind, number + more)
    assert delay / 2 <= policy.delay_seconds(kind, number, jitter=jitter) <= delay


def test_delay_seconds__retry_number_beyond_any_float__is_the_cap():
    assert RetryPolicy().delay_seconds(FailureType.TRANSIENT, 10**400) == 60
    assert RetryPolicy(base_delay=0).delay_seconds(FailureType.TRANSIENT, 10**400) == 0
    assert RetryPolicy(base_delay=2).delay_seconds(FailureType.RUNTIME, 10**400) == 2


@pytest.mark.parametrize("jitter", [math.nan, -3.0, 7.0, math.inf])
def test_delay_seconds__jitter_out_of_range__stays_between_half_and_whole(jitter):
    assert 0.5 <= RetryPolicy().delay_seconds(FailureType.TRANSIENT, 1, jitter=jitter) <= 1.0


@pytest.mark.parametrize(
    ("details", "wait"),
    [
        ({}, None),
        ({"retry_after": 4}, 4),
        ({"retry_after": 0}, 0),
        ({"retry_after": -5}, 0),
        ({"retry_at": 1030.0}, 30),
        ({"retry_at": 900.0}, 0),
        ({"retry_after": 4, "retry_at": 1030.0}, 30),
        ({"retry_after": "soon"}, None),
        ({"retry_after": math.nan}, None),
        ({"retry_after": True}, None),
        ({"retry_after": 10**400}, None),
    ],
)
def test_server_wait__details__are_read_as_seconds_from_now(details, wait):
    assert server_wait(details, now=1000.0) == wait


@hypothesis_settings(deadline=None)  # a busy machine is no failure
@given(st.floats(0, 1e6), JITTERS, st.floats(0, 3600))
def test_add_jitter__any_wait__is_never_shortened(wait, jitter, cap):
    longer = add_jitter(wait, jitter=jitter, cap=cap)

    assert longer >= wait
    assert longer <= max(wait, cap)


def test_add_jitter__full_jitter__adds_a_tenth():
    assert add_jitter(100, jitter=1.0, cap=900) == 110
    assert add_jitter(4, jitter=1.0, cap=900) == 5


def test_policy_from_settings__budgets_and_cap__come_from_the_settings():
    settings = EffectiveSettings(max_total_attempts=4, max_per_step_attempts=2, backoff_cap_seconds=7.0)

    policy = policy_from_settings(settings)

    assert (policy.max_total_attempts, policy.max_per_step_attempts, policy.max_delay) == (4, 2, 7.0)
    assert policy.max_retries == RetryPolicy().max_retries


def test_for_step__plan_overrides_one_type__others_keep_theirs():
    policy = RetryPolicy().for_step(
        {"TRANSIENT": {"max_retries": 5, "base_delay": 0.1, "backoff_multiplier": 3, "max_delay": 600}}
    )

    assert policy.retries_for(FailureType.TRANSIENT) == 5
    assert [policy.delay_seconds(FailureType.TRANSIENT, n) for n in (1, 2, 30)] == pytest.approx([0.1, 0.3, 60])
    assert policy.delay_seconds(FailureType.INFRA, 2) == 1.5
    assert policy.copy() == policy


def test_for_step__senseless_override__names_the_path():
    with pytest.raises(InvalidRetryPolicy, match=r"retry\.INFRA\.base_delay: -1 is below 0"):
        RetryPolicy().for_step({"INFRA": {"base_delay": -1}})

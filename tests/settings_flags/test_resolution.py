import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from settings_flags.registry import (
    SETTINGS,
    InvalidSettingValue,
    Kind,
    Level,
    SettingOutOfRange,
    UnknownSetting,
)
from settings_flags.resolution import (
    EffectiveSettings,
    check_run_changes,
    check_tenant_changes,
    platform_from,
    resolve,
)

PLATFORM = platform_from("staging", {}, {})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("development", (True, 10, 5, 60)),
        ("staging", (True, 6, 3, 60)),
        ("production", (False, 6, 3, 60)),
    ],
)
def test_resolve__each_environment__has_its_defaults(environment, expected):
    found = resolve(platform_from(environment, {}, {}))

    assert (
        found.auto_fix_enabled,
        found.max_total_attempts,
        found.max_per_step_attempts,
        found.backoff_cap_seconds,
    ) == expected
    assert {found.source(name) for name in SETTINGS} == {Level.DEFAULT}


def test_resolve__set_at_each_level__the_nearest_counts_and_is_named():
    platform = platform_from("staging", {"max_total_attempts": 5, "delivery": "patch"}, {})

    found = resolve(platform, {"max_total_attempts": 9, "autonomy": "propose"}, {"max_total_attempts": 2})

    assert (found.max_total_attempts, found.source("max_total_attempts")) == (2, Level.RUN)
    assert (found.autonomy, found.source("autonomy")) == ("propose", Level.TENANT)
    assert (found.delivery, found.source("delivery")) == ("patch", Level.PLATFORM)
    assert (found.guard_action, found.source("guard_action")) == ("gate", Level.DEFAULT)


def test_resolve__null__inherits():
    found = resolve(PLATFORM, {"max_total_attempts": None}, {"max_total_attempts": None})

    assert (found.max_total_attempts, found.source("max_total_attempts")) == (6, Level.DEFAULT)


def test_resolve__production_tenant__may_switch_auto_fix_on():
    assert resolve(platform_from("production", {}, {}), {"auto_fix_enabled": True}).auto_fix_enabled


def test_resolve__ceiling_came_down_later__clamps_and_says_so():
    found = resolve(platform_from("staging", {}, {"max_total_attempts": 8}), {"max_total_attempts": 15})

    assert (found.max_total_attempts, found.source("max_total_attempts")) == (8, Level.TENANT)
    assert found.notes["max_total_attempts"] == "15 was asked for, but the platform's ceiling is 8"


def test_resolve__ceiling_below_the_default__clamps_the_default():
    assert not resolve(platform_from("development", {}, {"auto_fix_enabled": False})).auto_fix_enabled


def test_resolve__run_loosens__only_up_to_its_tenants_run_ceiling():
    tenant, run = {"max_total_attempts": 4}, {"max_total_attempts": 12}

    assert resolve(PLATFORM, tenant, run).max_total_attempts == 4
    assert resolve(PLATFORM, tenant, run, run_ceiling={"max_total_attempts": 9}).max_total_attempts == 9
    assert resolve(PLATFORM, tenant, run, run_ceiling={"max_total_attempts": 99}).max_total_attempts == 12
    assert resolve(PLATFORM, tenant, run, run_ceiling={"max_total_attempts": 2}).max_total_attempts == 4


def test_resolve__run_of_a_tenant_without_auto_fix__cannot_switch_it_on_itself():
    tenant, run = {"auto_fix_enabled": False}, {"auto_fix_enabled": True}

    assert not resolve(PLATFORM, tenant, run).auto_fix_enabled
    assert resolve(PLATFORM, tenant, run, run_ceiling={"auto_fix_enabled": True}).auto_fix_enabled


def test_resolve__run_cannot_set_what_belongs_to_its_tenant():
    ceiling = {"self_approval": True}

    assert not resolve(PLATFORM, {}, {"self_approval": True}, run_ceiling=ceiling).self_approval


def test_resolve__protected_paths__a_run_adds_but_does_not_remove():
    tenant = {"protected_paths": ["infra/**"]}

    assert resolve(PLATFORM, tenant).protected_paths == ("infra/**",)
    more = resolve(PLATFORM, tenant, {"protected_paths": ["infra/**", "db/**"]})
    assert more.protected_paths == ("infra/**", "db/**")
    fewer = resolve(PLATFORM, tenant, {"protected_paths": ["db/**"]})
    assert fewer.protected_paths == ("db/**", "infra/**")
    allowed = resolve(PLATFORM, tenant, {"protected_paths": []}, run_ceiling={"protected_paths": []})
    assert allowed.protected_paths == ()


def test_resolve__stored_value_is_no_longer_valid__is_ignored_with_a_note():
    found = resolve(PLATFORM, {"delivery": "carrier pigeon"})

    assert (found.delivery, found.source("delivery")) == ("branch", Level.DEFAULT)
    assert "carrier pigeon" in found.notes["delivery"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"max_total_attempts": 21}, SettingOutOfRange, "21 is not allowed; the platform's ceiling is 20"),
        ({"max_per_step_attempts": 11}, SettingOutOfRange, "ceiling is 10"),
        ({"backoff_cap_seconds": 300.5}, SettingOutOfRange, "ceiling is 300"),
        ({"max_trials_per_attempt": 0}, SettingOutOfRange, "the minimum is 1"),
        ({"max_total_attempts": -1}, SettingOutOfRange, "the minimum is 0"),
        ({"max_total_attempts": "many"}, InvalidSettingValue, "expected a whole number, not many"),
        ({"max_total_attempts": True}, InvalidSettingValue, "expected a whole number"),
        ({"max_total_attempts": 10**30}, InvalidSettingValue, "expected a whole number"),
        ({"backoff_cap_seconds": math.nan}, InvalidSettingValue, "expected a number"),
        ({"backoff_cap_seconds": math.inf}, InvalidSettingValue, "expected a number"),
        ({"auto_fix_enabled": 1}, InvalidSettingValue, "expected true or false"),
        ({"delivery": "post"}, InvalidSettingValue, "expected one of none, patch, branch"),
        ({"protected_paths": "a"}, InvalidSettingValue, "expected a list"),
        ({"protected_paths": ["a\nb"]}, InvalidSettingValue, "expected a list"),
        ({"nonsense": 1}, UnknownSetting, "nonsense is not a setting of a tenant"),
    ],
)
def test_check_tenant_changes__bad_value__is_refused_with_its_limit(changes, error, words):
    _, problems = check_tenant_changes(PLATFORM, changes)

    (problem,) = problems.values()
    assert isinstance(problem, error)
    assert problem.http_status == 400
    assert words in str(problem)


def test_check_tenant_changes__several_bad_values__are_all_named():
    changes = {
        "max_total_attempts": 99,
        "delivery": "post",
        "autonomy": "propose",
        "run_ceiling": {"max_per_step_attempts": 99, "self_approval": True, "delivery": "patch"},
    }

    parsed, problems = check_tenant_changes(PLATFORM, changes)

    assert set(problems) == {
        "max_total_attempts",
        "delivery",
        "run_ceiling.max_per_step_attempts",
        "run_ceiling.self_approval",
    }
    assert parsed["autonomy"] == "propose"


def test_check_run_changes__beyond_its_tenant__is_refused():
    inherited = resolve(PLATFORM, {"max_total_attempts": 4})

    _, problems = check_run_changes(PLATFORM, inherited, {}, {"max_total_attempts": 5})
    assert "what its tenant allows a run is 4" in str(problems["max_total_attempts"])
    parsed, problems = check_run_changes(PLATFORM, inherited, {"max_total_attempts": 6}, {"max_total_attempts": 5})
    assert (parsed, problems) == ({"max_total_attempts": 5}, {})


def test_check_run_changes__what_belongs_to_the_tenant__is_unknown_to_a_run():
    _, problems = check_run_changes(PLATFORM, resolve(PLATFORM), {}, {"self_approval": False})

    assert isinstance(problems["self_approval"], UnknownSetting)


def test_governing_hash__follows_the_governing_values_only():
    base = EffectiveSettings()

    for change in (
        {"self_approval": True},
        {"guard_action": "refuse"},
        {"autonomy": "propose"},
        {"protected_paths": ("x",)},
    ):
        assert dataclasses.replace(base, **change).governing_hash() != base.governing_hash()
    same = dataclasses.replace(
        base, max_total_attempts=1, gate_expiry_hours=1.0, protected_paths=base.protected_paths[::-1]
    )
    assert same.governing_hash() == base.governing_hash()


def test_as_dict__is_json_of_every_setting():
    assert set(EffectiveSettings().as_dict()) == set(SETTINGS)
    assert isinstance(EffectiveSettings().as_dict()["protected_paths"], list)


def values_of(setting):
    if setting.kind is Kind.FLAG:
        return st.booleans()
    if setting.kind is Kind.CHOICE:
        return st.sampled_from(setting.choices)
    if setting.kind is Kind.PATHS:
        return st.lists(st.sampled_from(["a/**", "b", "*.c"]), unique=True)
    if setting.kind is Kind.COUNT:
        return st.integers(int(setting.minimum), 30)
    return st.floats(setting.minimum, 1e6)


OVERRIDES = st.fixed_dictionaries(
    {}, optional={name: st.none() | values_of(setting) for name, setting in SETTINGS.items()}
)


@hypothesis_settings(deadline=None)  # a busy machine is no failure
@given(OVERRIDES, OVERRIDES, OVERRIDES, OVERRIDES)
def test_resolve__any_overrides__no_value_passes_its_limits(ceilings, tenant, run, run_ceiling):
    given_ceilings = {name: SETTINGS[name].parse(value) for name, value in ceilings.items() if value is not None}
    platform = platform_from("staging", {}, given_ceilings)

    inherited = resolve(platform, tenant)
    found = resolve(platform, tenant, run, run_ceiling=run_ceiling)

    for name, setting in SETTINGS.items():
        assert not setting.exceeds(getattr(found, name), platform.ceilings[name])
        if run_ceiling.get(name) is None:
            assert not setting.exceeds(getattr(found, name), getattr(inherited, name))


@hypothesis_settings(deadline=None)  # a busy machine is no failure
@given(st.data(), st.sampled_from(sorted(SETTINGS)))
def test_parse_text__what_is_shown__reads_back_as_the_same_value(data, name):
    setting = SETTINGS[name]
    value = setting.parse(data.draw(values_of(setting)))

    assert setting.parse_text(setting.show(value)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@hypothesis_settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(st.sampled_from([*SETTINGS, "run_ceiling", "other"]), JSON))
def test_check_tenant_changes__arbitrary_json__is_parsed_or_refused(changes):
    parsed, problems = check_tenant_changes(PLATFORM, changes)

    for name in changes:
        assert name in parsed or any(problem.split(".")[0] == name for problem in problems)
    resolve(PLATFORM, parsed, run_ceiling=parsed.get("run_ceiling"))

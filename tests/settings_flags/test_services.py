import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured

from metabuilder.audit.models import AuditEvent
from metabuilder.builds.models import BuildRun, ScaffoldPlan, Tenant
from settings_flags import services
from settings_flags.models import KillSwitch, RunSettings, TenantSettings
from settings_flags.platform import platform_settings
from settings_flags.registry import SETTINGS, InvalidSettingValue, Level, SettingOutOfRange, UnknownSetting
from settings_flags.testing import override_settings_flags

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return Tenant.objects.create(slug="acme", name="Acme")


@pytest.fixture
def owner():
    return User.objects.create_user("olive")


@pytest.fixture
def run(tenant):
    plan = ScaffoldPlan.objects.create(
        tenant=tenant, name="p", body={"name": "p", "steps": [{"name": "a", "run": "true"}]}
    )
    return BuildRun.objects.create(tenant=tenant, plan=plan, source="/somewhere")


def changes_in_audit(event_type="settings.changed"):
    return [
        (event.actor_name, event.payload) for event in AuditEvent.objects.filter(event_type=event_type).order_by("seq")
    ]


def test_models__columns__are_the_settings_of_the_level():
    for model, level in ((TenantSettings, Level.TENANT), (RunSettings, Level.RUN)):
        own = {"id", "updated_at", "tenant", "run", "run_ceiling"}
        columns = {column.name for column in model._meta.concrete_fields} - own
        assert columns == {name for name, setting in SETTINGS.items() if level in setting.levels}


def test_effective_settings__nothing_set__takes_two_queries(run, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert services.effective_settings(run).max_total_attempts == 10


def test_effective_settings__everything_set__takes_two_queries(run, owner, django_assert_num_queries):
    services.set_tenant_settings(
        run.tenant,
        {"max_total_attempts": 8, "protected_paths": ["a/**"], "run_ceiling": {"max_trials_per_attempt": 12}},
        actor=owner,
    )
    services.set_run_settings(run, {"max_trials_per_attempt": 11, "max_total_attempts": 2}, actor=owner)
    run = BuildRun.objects.get(pk=run.pk)

    with django_assert_num_queries(2):
        found = services.effective_settings(run)

    assert (found.max_total_attempts, found.source("max_total_attempts")) == (2, Level.RUN)
    assert (found.max_trials_per_attempt, found.protected_paths) == (11, ("a/**",))
    assert found.source("protected_paths") is Level.TENANT


def test_set_tenant_settings__changed__is_stored_and_audited_old_to_new(tenant, owner):
    services.set_tenant_settings(tenant, {"max_total_attempts": 8, "delivery": "patch"}, actor=owner)
    services.set_tenant_settings(tenant, {"max_total_attempts": 7, "delivery": "patch"}, actor=owner)

    assert TenantSettings.objects.get(tenant=tenant).max_total_attempts == 7
    first = {"max_total_attempts": {"old": None, "new": 8}, "delivery": {"old": None, "new": "patch"}}
    second = {"max_total_attempts": {"old": 8, "new": 7}}
    assert changes_in_audit() == [
        ("olive", {"level": "tenant", "changes": first}),
        ("olive", {"level": "tenant", "changes": second}),
    ]


def test_set_tenant_settings__nothing_differs__is_not_audited(tenant, owner):
    services.set_tenant_settings(tenant, {"max_total_attempts": None, "run_ceiling": {}}, actor=owner)

    assert changes_in_audit() == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"delivery": "patch", "max_total_attempts": 21}, SettingOutOfRange),
        ({"delivery": "patch", "max_total_attempts": "x"}, InvalidSettingValue),
        ({"delivery": "patch", "kill_switch": True}, UnknownSetting),
        ({"delivery": "patch", "run_ceiling": {"max_total_attempts": 21}}, SettingOutOfRange),
        ({"delivery": "patch", "run_ceiling": [1]}, InvalidSettingValue),
    ],
)
def test_set_tenant_settings__one_bad_value__changes_nothing(tenant, owner, changes, error):
    with pytest.raises(error):
        services.set_tenant_settings(tenant, changes, actor=owner)

    assert services.tenant_effective_settings(tenant).delivery == "branch"
    assert changes_in_audit() == []


def test_set_tenant_settings__error__names_setting_value_and_limit(tenant, owner):
    with pytest.raises(SettingOutOfRange) as caught:
        services.set_tenant_settings(tenant, {"max_total_attempts": 21}, actor=owner)

    assert (caught.value.setting, caught.value.value, caught.value.limit) == ("max_total_attempts", 21, 20)


def test_set_run_settings__beyond_its_tenant__is_refused(run, owner):
    services.set_tenant_settings(run.tenant, {"max_total_attempts": 4}, actor=owner)

    with pytest.raises(SettingOutOfRange):
        services.set_run_settings(run, {"max_total_attempts": 5}, actor=owner)
    assert not RunSettings.objects.exists()

    services.set_tenant_settings(run.tenant, {"run_ceiling": {"max_total_attempts": 5}}, actor=owner)
    assert services.set_run_settings(run, {"max_total_attempts": 5}, actor=owner).max_total_attempts == 5


def test_set_run_settings__reset__inherits_again(run, owner):
    services.set_run_settings(run, {"max_total_attempts": 2}, actor=owner)
    services.set_run_settings(run, {"max_total_attempts": None}, actor=None)

    assert services.effective_settings(run).source("max_total_attempts") is Level.DEFAULT
    assert changes_in_audit()[-1] == (
        "system",
        {"level": "run", "changes": {"max_total_attempts": {"old": 2, "new": None}}},
    )


def test_reset_tenant_settings__everything_set__is_all_inherited(tenant, owner):
    services.set_tenant_settings(tenant, {"max_total_attempts": 8, "run_ceiling": {"delivery": "patch"}}, actor=owner)
    services.reset_tenant_settings(tenant, actor=owner)

    rows = services.tenant_settings_view(tenant)
    assert {row.source for row in rows} == {Level.DEFAULT}
    assert {row.run_ceiling for row in rows} == {None}


def test_tenant_settings_view__other_tenants_values__are_not_seen(tenant, owner):
    other = Tenant.objects.create(slug="other", name="Other")
    services.set_tenant_settings(other, {"max_total_attempts": 1}, actor=owner)

    row = next(r for r in services.tenant_settings_view(tenant) if r.setting.name == "max_total_attempts")

    assert row.as_dict() == {
        "name": "max_total_attempts",
        "value": 10,
        "source": "default",
        "own": None,
        "inherited": 10,
        "inherited_from": "default",
        "ceiling": 20,
        "run_ceiling": None,
        "unit": "attempts",
        "note": "",
    }


def test_run_settings_view__own_value__stands_beside_what_the_tenant_gives(run, owner):
    services.set_tenant_settings(run.tenant, {"max_total_attempts": 8}, actor=owner)
    services.set_run_settings(run, {"max_total_attempts": 3}, actor=owner)

    rows = {row.setting.name: row for row in services.run_settings_view(run)}

    row = rows["max_total_attempts"]
    assert (row.value, row.source, row.inherited, row.inherited_from) == (3, Level.RUN, 8, Level.TENANT)
    assert "self_approval" not in rows


def test_kill_switch__engaged_for_one_tenant__stops_only_that_tenant(tenant, owner):
    other = Tenant.objects.create(slug="other", name="Other")

    services.engage_kill_switch(tenant, reason=" disk on fire ", actor=owner)

    assert services.engaged_kill_switch(tenant).reason == "disk on fire"
    assert services.engaged_kill_switch(other) is None
    services.release_kill_switch(tenant, reason="put out", actor=owner)
    assert services.engaged_kill_switch(tenant) is None
    assert changes_in_audit("kill_switch.changed") == [
        ("olive", {"old": False, "new": True, "reason": "disk on fire"}),
        ("olive", {"old": True, "new": False, "reason": "put out"}),
    ]


def test_kill_switch__engaged_for_everyone__stops_every_tenant(tenant, owner):
    services.engage_kill_switch(None, reason="incident", actor=owner)

    assert services.engaged_kill_switch(tenant).pk == KillSwitch.EVERYONE
    assert services.engaged_kill_switch(None).reason == "incident"


def test_kill_switch__engaged_twice__is_one_switch_and_one_event(tenant, owner):
    services.engage_kill_switch(tenant, reason="same", actor=owner)
    services.engage_kill_switch(tenant, reason="same", actor=owner)

    assert KillSwitch.objects.count() == 1
    assert len(changes_in_audit("kill_switch.changed")) == 1


def test_override_settings_flags__inside__counts_and_outside_does_not(tenant):
    with override_settings_flags(max_total_attempts=3, ceilings={"max_per_step_attempts": 4}):
        found = services.tenant_effective_settings(tenant)
        assert (found.max_total_attempts, found.source("max_total_attempts")) == (3, Level.PLATFORM)
        assert found.max_per_step_attempts == 4
    assert services.tenant_effective_settings(tenant).max_total_attempts == 10


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("METABUILDER_MAX_TOTAL_ATTEMPTS", "lots", "expected a whole number"),
        ("METABUILDER_MAX_TOTAL_ATTEMPTS", "21", "METABUILDER_MAX_TOTAL_ATTEMPTS_CEILING=20"),
        ("METABUILDER_AUTO_FIX_ENABLED_CEILING", "perhaps", "expected true or false"),
        ("METABUILDER_DELIVERY", "post", "expected one of"),
    ],
)
def test_platform_settings__bad_variable__is_refused_by_its_name(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    platform_settings.cache_clear()
    try:
        with pytest.raises(ImproperlyConfigured, match=name) as caught:
            platform_settings()
    finally:
        monkeypatch.undo()
        platform_settings.cache_clear()
    assert words in str(caught.value)

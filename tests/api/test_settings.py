import pytest

from metabuilder.audit.models import AuditEvent
from settings_flags.models import RunSettings, TenantSettings
from settings_flags.registry import SETTINGS
from settings_flags.services import tenant_effective_settings
from settings_flags.testing import override_settings_flags
from tests.api.conftest import assert_problem
from tests.factories import BuildRunFactory

pytestmark = pytest.mark.django_db
TENANT = "/api/meta/v2/tenants/acme/settings"


def of_run(run):
    return f"/api/meta/v2/runs/{run.pk}/settings"


def test_tenant_settings__nothing_set__shows_value_source_and_ceiling_of_each(viewer, tenant):
    body = viewer.get(TENANT).json()

    assert body["tenant"] == "acme"
    assert set(body["settings"]) == set(SETTINGS)
    row = body["settings"]["max_total_attempts"]
    assert (row["value"], row["source"], row["own"], row["ceiling"]) == (10, "default", None, 20)
    assert viewer.get(f"/api/meta/v2/tenants/{tenant.pk}/settings").json() == body


def test_tenant_settings__put__changes_what_is_named_and_is_audited(owner, tenant):
    owner.put(TENANT, {"max_per_step_attempts": 2}, format="json")
    body = owner.put(TENANT, {"max_total_attempts": 4, "run_ceiling": {"max_total_attempts": 8}}, format="json").json()

    row = body["settings"]["max_total_attempts"]
    assert (row["value"], row["source"], row["own"], row["inherited"], row["run_ceiling"]) == (4, "tenant", 4, 10, 8)
    assert body["run_ceiling"] == {"max_total_attempts": 8}
    assert body["settings"]["max_per_step_attempts"]["own"] == 2
    assert tenant_effective_settings(tenant).max_total_attempts == 4
    assert AuditEvent.objects.filter(event_type="settings.changed", actor_name="owner").count() == 2


def test_tenant_settings__null__inherits_again(owner):
    owner.put(TENANT, {"max_total_attempts": 4}, format="json")
    row = owner.put(TENANT, {"max_total_attempts": None}, format="json").json()["settings"]["max_total_attempts"]
    assert (row["value"], row["source"], row["own"]) == (10, "default", None)


def test_tenant_settings__several_wrong_fields__are_all_named_and_nothing_is_saved(owner):
    wrong = {
        "max_total_attempts": 21,
        "auto_fix_enabled": "yes",
        "nonsense": 1,
        "max_per_step_attempts": 2,
        "run_ceiling": {"max_fix_seconds": "x"},
    }

    problem = assert_problem(owner.put(TENANT, wrong, format="json"), 400, "invalid")

    found = {error["field"]: error["code"] for error in problem["errors"]}
    assert found == {
        "max_total_attempts": "setting_out_of_range",
        "auto_fix_enabled": "invalid_setting_value",
        "nonsense": "unknown_setting",
        "run_ceiling.max_fix_seconds": "invalid_setting_value",
    }
    assert not TenantSettings.objects.exists()


@pytest.mark.parametrize("body", [[], "x", 1])
def test_tenant_settings__body_that_is_no_object__is_refused(owner, body):
    assert_problem(owner.put(TENANT, body, format="json"), 400)


def test_run_settings__run__tightens_freely_and_loosens_up_to_its_tenants_ceiling(owner, tenant):
    run = BuildRunFactory(tenant=tenant)
    owner.put(TENANT, {"max_total_attempts": 4, "run_ceiling": {"max_total_attempts": 6}}, format="json")

    assert owner.put(of_run(run), {"max_total_attempts": 1}, format="json").status_code == 200
    row = owner.put(of_run(run), {"max_total_attempts": 6}, format="json").json()["settings"]["max_total_attempts"]
    assert (row["value"], row["source"], row["inherited"], row["inherited_from"]) == (6, "run", 4, "tenant")
    problem = assert_problem(owner.put(of_run(run), {"max_total_attempts": 7}, format="json"), 400)
    assert problem["errors"][0]["field"] == "max_total_attempts"
    assert RunSettings.objects.get(run=run).max_total_attempts == 6


def test_run_settings__setting_of_tenants_only__is_unknown_to_a_run(owner, tenant):
    run = BuildRunFactory(tenant=tenant)
    assert "self_approval" not in owner.get(of_run(run)).json()["settings"]
    problem = assert_problem(owner.put(of_run(run), {"self_approval": True}, format="json"), 400)
    assert problem["errors"][0]["code"] == "unknown_setting"


def test_run_settings__platform_ceiling_came_down__says_so_in_the_note(owner, tenant):
    owner.put(TENANT, {"max_total_attempts": 9}, format="json")
    with override_settings_flags(ceilings={"max_total_attempts": 5}):
        row = owner.get(TENANT).json()["settings"]["max_total_attempts"]
    assert (row["value"], row["own"], row["ceiling"]) == (5, 9, 5)
    assert "9 was asked for" in row["note"]

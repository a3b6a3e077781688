import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from metabuilder.audit.models import AuditEvent
from metabuilder.builds.models import Membership, Tenant
from settings_flags import services
from settings_flags.models import TenantSettings

pytestmark = pytest.mark.django_db

INDEX = "/settings/builder/auto-fix"
PAGE = "/settings/builder/auto-fix/acme"


@pytest.fixture
def tenant():
    return Tenant.objects.create(slug="acme", name="Acme")


@pytest.fixture
def member(client, tenant):
    """Sign somebody in as a member with a role; returns the user."""

    def sign_in(role, of=None):
        user, _ = User.objects.get_or_create(username=f"a-{role}")
        Membership.objects.create(user=user, tenant=of or tenant, role=role)
        client.force_login(user)
        return user

    return sign_in


def controls(response):
    """What a browser would send for the page as it stands."""
    html = response.content.decode()
    sent = {}
    for name, value in re.findall(r'<input id="[^"]+" name="([^"]+)" inputmode="decimal" value="([^"]*)"', html):
        sent[name] = value
    for name, value in re.findall(r'<input type="hidden" name="(was\.[^"]+)" value="([^"]*)"', html):
        sent[name] = value
    for name, body in re.findall(r'<select id="[^"]+" name="([^"]+)"[^>]*>(.*?)</select>', html, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', body)
        sent[name] = chosen.group(1) if chosen else ""
    for name, body in re.findall(r'<textarea id="[^"]+" name="([^"]+)"[^>]*>(.*?)</textarea>', html, re.DOTALL):
        sent[name] = body.replace("\n", "\r\n")  # as browsers do
    return sent


def test_page__urls__are_where_the_guide_says():
    assert reverse("settings_flags:auto-fix") == INDEX
    assert reverse("settings_flags:auto-fix-tenant", args=["acme"]) == PAGE


@pytest.mark.parametrize("url", ["/settings/", "/settings/builder", INDEX, PAGE])
def test_page__not_signed_in__asks_to_sign_in(client, tenant, url):
    response = client.get(url)

    assert response.status_code == 302
    assert "login" in response["Location"]


def test_index__one_tenant__leads_to_its_page(client, member):
    member("viewer")

    assert client.get("/settings/", follow=True).redirect_chain[-1][0] == PAGE


def test_index__several_tenants__lists_only_the_users_own(client, member):
    member("viewer")
    member("viewer", of=Tenant.objects.create(slug="second", name="Second"))
    Tenant.objects.create(slug="foreign", name="Foreign")

    html = client.get(INDEX).content.decode()

    assert PAGE in html
    assert f"{INDEX}/second" in html
    assert "foreign" not in html


@pytest.mark.parametrize(("method", "url"), [("get", PAGE), ("post", PAGE), ("post", f"{PAGE}/kill-switch")])
def test_page__not_a_member__finds_nothing(client, member, method, url):
    member("owner", of=Tenant.objects.create(slug="other", name="Other"))

    assert getattr(client, method)(url).status_code == 404


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_page__reader__sees_values_and_cannot_change_them(client, member, tenant, role):
    services.set_tenant_settings(tenant, {"max_total_attempts": 7}, actor=None)
    member(role)

    html = client.get(PAGE).content.decode()

    assert re.search(r"<strong>7</strong> attempts\s*<span class=\"badge\">from tenant</span>", html)
    assert "<select" not in html
    assert "Reset" not in html
    assert client.post(PAGE, {"max_total_attempts": "3", "was.max_total_attempts": ""}).status_code == 403
    assert client.post(f"{PAGE}/kill-switch", {"engage": "yes", "reason": "x"}).status_code == 403
    assert TenantSettings.objects.get(tenant=tenant).max_total_attempts == 7


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_page__editor_saves__stores_and_audits_only_what_was_edited(client, member, tenant, role):
    user = member(role)
    sent = controls(client.get(PAGE))
    sent |= {"max_total_attempts": "4", "auto_fix_enabled": "false", "protected_paths": "a/**\r\nb.txt"}

    response = client.post(PAGE, sent, follow=True)

    row = TenantSettings.objects.get(tenant=tenant)
    assert (row.max_total_attempts, row.auto_fix_enabled, row.protected_paths) == (
        4,
        False,
        ["a/**", "b.txt"],
    )
    assert (row.autonomy, row.run_ceiling) == (None, {})
    event = AuditEvent.objects.get(event_type="settings.changed")
    assert event.actor_name == user.username
    assert set(event.payload["changes"]) == {"max_total_attempts", "auto_fix_enabled", "protected_paths"}
    assert "Settings saved." in response.content.decode()


def test_page__saved_as_it_is__changes_nothing(client, member, tenant):
    services.set_tenant_settings(
        tenant,
        {"protected_paths": ["a/**", "b"], "backoff_cap_seconds": 2.5, "run_ceiling": {"delivery": "patch"}},
        actor=None,
    )
    member("owner")

    client.post(PAGE, controls(client.get(PAGE)))

    assert AuditEvent.objects.filter(event_type="settings.changed").count() == 1


def test_page__run_ceiling_edited__others_in_it_stay(client, member, tenant):
    services.set_tenant_settings(tenant, {"run_ceiling": {"delivery": "patch"}}, actor=None)
    member("owner")
    sent = controls(client.get(PAGE)) | {"run_ceiling.max_total_attempts": "12"}

    client.post(PAGE, sent)

    ceiling = TenantSettings.objects.get(tenant=tenant).run_ceiling
    assert ceiling == {"delivery": "patch", "max_total_attempts": 12}


def test_page__bad_input__is_shown_beside_its_field_and_nothing_is_lost(client, member, tenant):
    member("owner")
    sent = controls(client.get(PAGE)) | {
        "max_total_attempts": "99",
        "run_ceiling.max_per_step_attempts": "<b>many</b>",
        "max_fix_seconds": "30",
    }

    response = client.post(PAGE, sent)
    html = response.content.decode()

    assert response.status_code == 400
    assert not TenantSettings.objects.exists()
    assert re.search(r'<p class="error" id="max_total_attempts.error">[^<]*the platform&#x27;s ceiling is 20', html)
    assert 'aria-describedby="max_total_attempts.error"' in html
    assert 'id="run_ceiling.max_per_step_attempts.error"' in html
    assert "<b>many" not in html
    again = controls(response)
    assert (again["max_total_attempts"], again["max_fix_seconds"]) == ("99", "30")
    client.post(PAGE, again | {"max_total_attempts": "9", "run_ceiling.max_per_step_attempts": ""})
    row = TenantSettings.objects.get(tenant=tenant)
    assert (row.max_total_attempts, row.max_fix_seconds) == (9, 30)


def test_page__left_open_while_others_change__does_not_undo_them(client, member, tenant):
    member("owner")
    sent = controls(client.get(PAGE))
    services.set_tenant_settings(tenant, {"delivery": "none"}, actor=None)

    client.post(PAGE, sent | {"max_total_attempts": "5"})

    row = TenantSettings.objects.get(tenant=tenant)
    assert (row.delivery, row.max_total_attempts) == ("none", 5)


def test_page__reset__inherits_again_and_keeps_other_edits_unsaved(client, member, tenant):
    services.set_tenant_settings(tenant, {"max_total_attempts": 7}, actor=None)
    member("owner")
    sent = controls(client.get(PAGE)) | {"max_fix_seconds": "31", "reset": "max_total_attempts"}

    response = client.post(PAGE, sent)

    row = TenantSettings.objects.get(tenant=tenant)
    assert (row.max_total_attempts, row.max_fix_seconds) == (None, None)
    again = controls(response)
    assert (again["max_total_attempts"], again["max_fix_seconds"]) == ("", "31")
    client.post(PAGE, again)
    assert TenantSettings.objects.get(tenant=tenant).max_fix_seconds == 31


def test_page__reset_of_nonsense__is_refused(client, member):
    member("owner")

    response = client.post(PAGE, {"reset": "nonsense"}, follow=True)

    assert "nonsense is not a setting" in response.content.decode()


def test_kill_switch__engaged_and_released_on_the_page__is_audited(client, member, tenant):
    member("admin")

    client.post(f"{PAGE}/kill-switch", {"engage": "yes", "reason": "bad release"})
    assert services.engaged_kill_switch(tenant).reason == "bad release"
    assert "bad release" in client.get(PAGE).content.decode()

    client.post(f"{PAGE}/kill-switch", {"engage": "no", "reason": "fixed"})
    assert services.engaged_kill_switch(tenant) is None
    assert AuditEvent.objects.filter(event_type="kill_switch.changed").count() == 2


def test_kill_switch__no_reason__is_not_engaged(client, member, tenant):
    member("admin")

    response = client.post(f"{PAGE}/kill-switch", {"engage": "yes", "reason": " "}, follow=True)

    assert services.engaged_kill_switch(tenant) is None
    assert "say why" in response.content.decode()


def test_kill_switch__of_everyone__only_superusers_turn_it(client, member, tenant):
    member("owner")
    assert client.post(INDEX, {"engage": "yes", "reason": "x"}).status_code == 403
    client.force_login(User.objects.create_superuser("root"))

    client.post(INDEX, {"engage": "yes", "reason": "incident"})

    assert services.engaged_kill_switch(tenant).reason == "incident"
    member("viewer", of=tenant)
    assert "stopped for everyone" in client.get(PAGE).content.decode()


def test_page__cross_site_post__is_refused(client, member):
    user = member("owner")
    client.handler.enforce_csrf_checks = True
    client.force_login(user)

    assert client.post(PAGE, {"max_total_attempts": "1"}).status_code == 403


def test_admin__settings__are_read_only(admin_client, tenant):
    services.set_tenant_settings(tenant, {"max_total_attempts": 7}, actor=None)
    services.engage_kill_switch(tenant, reason="x", actor=None)

    for name in ("tenantsettings", "runsettings", "killswitch"):
        assert admin_client.get(reverse(f"admin:settings_flags_{name}_changelist")).status_code == 200
        assert admin_client.get(reverse(f"admin:settings_flags_{name}_add")).status_code == 403
    row = TenantSettings.objects.get(tenant=tenant)
    change = reverse("admin:settings_flags_tenantsettings_change", args=[row.pk])
    assert admin_client.post(change, {"max_total_attempts": "1"}).status_code == 403

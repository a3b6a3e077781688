"""What a person sees and does, in a real Chromium against a real server and a real worker."""

from __future__ import annotations

import shutil

import pytest
from django.urls import reverse

from approvals.models import ApprovalGate
from metabuilder.builds.states import Role
from tests.browser.chromium import Chromium
from tests.doors import PASSWORD, gate_of, gated_fix, person, reaches, worker
from tests.factories import TenantFactory

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture
def browser(tmp_path):
    with Chromium(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def build(tmp_path, settings):
    """A run that a real worker has brought to its gate, and goes on working on."""
    build = gated_fix(tmp_path)
    with worker(settings, tmp_path):
        reaches(build, "waiting_approval", tmp_path)
        yield build


def sign_in(browser, live_server, user):
    browser.open(f"{live_server.url}/")
    browser.type("#id_username", user.username)
    browser.type("#id_password", PASSWORD)
    browser.press("Sign in")
    assert user.username in browser.text("#user-tools").casefold()


@pytest.fixture
def at_the_gate(browser, live_server, build):
    """The browser of an owner who has found their way to the gate's page."""
    sign_in(browser, live_server, person(build.run.tenant, Role.OWNER, "olga"))
    browser.press("Gates that wait for a decision")
    browser.press(gate_of(build).title)
    return browser


def test_gate_page__owner_reads_the_diff_and_approves__the_run_is_healed(at_the_gate, build, tmp_path):
    assert "imported but unused" in at_the_gate.text(".field-evidence_shown")
    assert at_the_gate.text(".diff-removed") == "-import json"
    assert "belongs to people" in at_the_gate.text(".field-meaning")
    assert "everything that the decision is bound to" in at_the_gate.text(".field-exact_action")
    assert "frozen" not in at_the_gate.text(".field-exact_action")  # folded away until somebody wants it

    at_the_gate.type("#gate-comment", "signed off")
    at_the_gate.press("Approve")

    assert "approved" in at_the_gate.text(".messagelist")
    assert reaches(build, "succeeded", tmp_path).outcome == "healed"
    assert "approved by olga: signed off" in at_the_gate.text(".field-decisions_shown")
    at_the_gate.press(f"run {build.run.pk}")
    assert "Healed" in at_the_gate.text(".field-outcome")


def test_gate_page__rejected__needs_a_reason_and_rolls_back(at_the_gate, build, tmp_path):
    at_the_gate.press("Reject")
    assert "needs a reason" in at_the_gate.text(".messagelist")
    assert ApprovalGate.objects.get().status == "pending"

    at_the_gate.type("#gate-comment", "the tariff board has not met")
    at_the_gate.press("Reject")

    assert "rejected" in at_the_gate.text(".messagelist .success")
    assert "the tariff board has not met" in reaches(build, "rolled_back", tmp_path).result_note


@pytest.mark.parametrize("width", [360, 1200])
def test_settings_page__phone_or_desk__fits_its_window_and_saves(tmp_path, live_server, width):
    tenant = TenantFactory(slug="acme")
    with Chromium(tmp_path / "profile", size=(width, 800), phone=width < 500) as browser:
        sign_in(browser, live_server, person(tenant, Role.OWNER, "olga"))
        browser.open(live_server.url + reverse("settings_flags:auto-fix-tenant", args=[tenant.slug]))
        assert browser.script("return document.documentElement.scrollWidth") <= width

        browser.type("#max_total_attempts", "4")
        browser.press("Save")

        assert browser.text(".messages") == "Settings saved."
        assert "In force: 4 attempts" in browser.text("section[aria-labelledby='max_total_attempts.title']")

"""A background run stops at a gate; people meet it in the admin; the worker does what the right one of them said."""

from __future__ import annotations

import pytest
from django.test import Client

from approvals.models import ApprovalGate
from metabuilder.builds.models import Tenant
from metabuilder.builds.states import Role
from tests.builds.repositories import git
from tests.doors import AFTER, BEFORE, GATES, PROTECTED, gate_of, gated_fix, person, reaches, worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def build(tmp_path, settings):
    """A run that a real worker has brought to its gate, and goes on working on."""
    build = gated_fix(tmp_path)
    with worker(settings, tmp_path):
        reaches(build, "waiting_approval", tmp_path)
        yield build


def door(user):
    client = Client()
    client.force_login(user)
    return client


def decide(client, gate, verdict, comment=""):
    return client.post(f"{GATES}{gate.pk}/decide/", {"verdict": verdict, "comment": comment}, follow=True)


def delivered(build):
    """The protected file as the run's branch has it."""
    repository, branch = build.again().delivered.split()
    return git(build.source, "--git-dir", repository, "show", f"{branch}:{PROTECTED}")


def test_gate__owner_approves_in_the_admin__the_worker_applies_exactly_that_and_finishes(build, tmp_path):
    gate, owner = gate_of(build), door(person(build.run.tenant, Role.OWNER, "olga"))
    page = owner.get(f"{GATES}{gate.pk}/change/").content.decode()
    assert '<span class="diff-removed">-import json</span>' in page
    assert f"{PROTECTED} belongs to people" in page

    assert "approved" in decide(owner, gate, "approve", "signed off").content.decode()

    run = reaches(build, "succeeded", tmp_path)
    assert run.outcome == "healed"
    assert build.outcomes() == [("LINT", "PATCH", "succeeded")]
    assert build.statuses() == {"lint": "succeeded", "prices": "succeeded"}
    assert delivered(build) == AFTER.strip()
    assert (build.source / PROTECTED).read_text() == BEFORE  # the source itself stays as it was


def test_gate__owner_rejects_in_the_admin__the_worker_rolls_back(build, tmp_path):
    gate, owner = gate_of(build), door(person(build.run.tenant, Role.OWNER, "olga"))
    assert "needs a reason" in decide(owner, gate, "reject").content.decode()
    assert ApprovalGate.objects.get().status == "pending"

    decide(owner, gate, "reject", "the tariff board has not met")

    run = reaches(build, "rolled_back", tmp_path)
    assert "the tariff board has not met" in run.result_note
    assert run.delivered == ""
    assert build.outcomes() == [("LINT", "PATCH", "rejected")]


def test_gate__people_without_the_right__neither_decide_nor_move_the_run(build):
    gate = gate_of(build)
    viewer = door(person(build.run.tenant, Role.VIEWER, "vic"))
    stranger = door(person(Tenant.objects.create(slug="far"), Role.OWNER, "mallory"))
    page = viewer.get(f"{GATES}{gate.pk}/change/").content.decode()
    assert gate.title in page
    assert 'value="approve"' not in page
    assert gate.title not in stranger.get(GATES).content.decode()
    assert stranger.get(f"{GATES}{gate.pk}/change/").status_code == 302  # the admin's way to say "no such row"
    assert stranger.get(f"/admin/builds/buildrun/{build.run.pk}/change/").status_code == 302

    assert "approved" not in decide(viewer, gate, "approve", "mine").content.decode().casefold()
    assert decide(stranger, gate, "approve", "mine").status_code == 404
    assert decide(stranger, gate, "reject", "mine").status_code == 404

    assert ApprovalGate.objects.get().status == "pending"
    assert not gate.decisions.exists()
    assert build.again().status == "waiting_approval"

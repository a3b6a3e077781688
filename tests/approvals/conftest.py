from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from approvals.services import open_gate
from metabuilder.builds.leases import take_lease
from metabuilder.builds.models import BuildRun, BuildStep, Membership, ScaffoldPlan, Tenant
from metabuilder.builds.states import RunStatus
from settings_flags.services import effective_settings

PATCH = "diff --git a/app.py b/app.py\n--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-import <os>\n+import sys\n"


def member(name, tenant, role, **user):
    user = User.objects.create(username=name, **user)
    Membership.objects.create(tenant=tenant, user=user, role=role)
    return user


def make_gate(tenant, *, requested_by=None, expires_in=timedelta(hours=1), title="Apply a patch?", **action):
    """Open a gate as the orchestrator does: under the lease, with the run waiting."""
    plan = ScaffoldPlan.objects.create(tenant=tenant, name="p", body={"name": "p", "steps": []})
    run = BuildRun.objects.create(tenant=tenant, plan=plan, source="/src", status=RunStatus.WAITING_APPROVAL)
    step = BuildStep.objects.create(run=run, position=0, name="test", command="pytest -q")
    lease = take_lease(run.pk)
    with transaction.atomic():
        gate = open_gate(
            run,
            step=step,
            kind="patch",
            title=title,
            body="1 test failed",
            evidence=[{"number": 12, "text": "E   assert 1 == 2", "rule": "pytest.assert"}],
            action={"type": "apply_patch", "patch": PATCH, "base_commit": "abc123", **action},
            settings_hash=effective_settings(run).governing_hash(),
            requested_by=requested_by,
            expires_at=timezone.now() + expires_in,
            lease=lease,
        )
    lease.release()
    return gate


@pytest.fixture
def tenant(db):
    return Tenant.objects.create(slug="acme", name="Acme")


@pytest.fixture
def owner(tenant):
    return member("olga", tenant, "owner", is_staff=True)


@pytest.fixture
def gate(tenant):
    return make_gate(tenant)

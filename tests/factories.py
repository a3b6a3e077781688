"""The smallest valid rows. A test states only the fields it is about."""

from __future__ import annotations

import factory
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from factory.django import DjangoModelFactory

from approvals.models import ApprovalGate
from approvals.services import open_gate
from autofix.decision import Strategy
from autofix.failures import FailureType
from autofix.models import AutoFixRun, FailurePattern, FixTrial, PlanDelta, RetryState
from autofix.states import AttemptOutcome
from metabuilder.builds.leases import take_lease
from metabuilder.builds.models import (
    ApiToken,
    BuildRun,
    BuildStep,
    Membership,
    ScaffoldPlan,
    StepExecution,
    Tenant,
)
from metabuilder.builds.plans import parse_plan
from metabuilder.builds.states import ExecutionEnd, Purpose, Role, RunStatus
from metabuilder.builds.tokens import create_token, digest_of
from settings_flags.services import effective_settings

PATCH = "diff --git a/app.py b/app.py\n--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-import os\n+import sys\n"


def plan_body(name="acme-api"):
    return {"name": name, "steps": [{"name": "test", "kind": "test", "run": "pytest -q"}]}


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user{n}")


class TenantFactory(DjangoModelFactory):
    class Meta:
        model = Tenant

    slug = factory.Sequence(lambda n: f"tenant{n}")
    name = factory.SelfAttribute("slug")


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    tenant = factory.SubFactory(TenantFactory)
    user = factory.SubFactory(UserFactory)
    role = Role.OWNER


class ApiTokenFactory(DjangoModelFactory):
    """A row only; a token that can be used is made by `token_of`."""

    class Meta:
        model = ApiToken

    user = factory.SubFactory(UserFactory)
    name = "ci"
    digest = factory.Sequence(lambda n: digest_of(str(n)))


class ScaffoldPlanFactory(DjangoModelFactory):
    class Meta:
        model = ScaffoldPlan

    tenant = factory.SubFactory(TenantFactory)
    name = "acme-api"
    body = factory.LazyAttribute(lambda plan: plan_body(plan.name))
    digest = factory.LazyAttribute(lambda plan: parse_plan(plan.body).digest)


class BuildRunFactory(DjangoModelFactory):
    class Meta:
        model = BuildRun

    tenant = factory.SubFactory(TenantFactory)
    plan = factory.SubFactory(ScaffoldPlanFactory, tenant=factory.SelfAttribute("..tenant"))
    source = "https://git.example/acme/api.git"


class BuildStepFactory(DjangoModelFactory):
    class Meta:
        model = BuildStep

    run = factory.SubFactory(BuildRunFactory)
    position = factory.Sequence(int)
    name = factory.Sequence(lambda n: f"step{n}")
    command = "true"


class StepExecutionFactory(DjangoModelFactory):
    class Meta:
        model = StepExecution

    step = factory.SubFactory(BuildStepFactory)
    iteration = 1
    number = 1
    purpose = Purpose.BUILD
    command = factory.SelfAttribute("step.command")
    end = ExecutionEnd.EXITED
    exit_code = 0
    started_at = factory.LazyFunction(timezone.now)


class AutoFixRunFactory(DjangoModelFactory):
    class Meta:
        model = AutoFixRun

    step = factory.SubFactory(BuildStepFactory)
    run = factory.SelfAttribute("step.run")
    signal_type = FailureType.LINT.value
    strategy = Strategy.PATCH.value
    outcome = AttemptOutcome.SUCCEEDED


class FixTrialFactory(DjangoModelFactory):
    class Meta:
        model = FixTrial

    attempt = factory.SubFactory(AutoFixRunFactory)
    number = 1
    candidate = "ruff"
    summary = "ruff --fix"
    diff = PATCH


class RetryStateFactory(DjangoModelFactory):
    class Meta:
        model = RetryState

    run = factory.SubFactory(BuildRunFactory)


class PlanDeltaFactory(DjangoModelFactory):
    class Meta:
        model = PlanDelta

    run = factory.SubFactory(BuildRunFactory)
    original_plan = factory.SelfAttribute("run.plan")
    new_plan = factory.SubFactory(ScaffoldPlanFactory, tenant=factory.SelfAttribute("..run.tenant"))
    delta_data = factory.List([{"op": "replace", "path": "/steps/0/timeout", "value": 900}])
    triggered_by = "INFRA"


class FailurePatternFactory(DjangoModelFactory):
    class Meta:
        model = FailurePattern

    tenant = factory.SubFactory(TenantFactory)
    name = factory.Sequence(lambda n: f"pattern{n}")
    pattern = "^quota of the build farm used up"
    signal_type = FailureType.POLICY.value


class ApprovalGateFactory(DjangoModelFactory):
    """Opened as the orchestrator does: under the lease, with its run waiting."""

    class Meta:
        model = ApprovalGate

    run = factory.SubFactory(BuildRunFactory, status=RunStatus.WAITING_APPROVAL)
    step = factory.SubFactory(BuildStepFactory, run=factory.SelfAttribute("..run"))
    kind = "patch"
    title = "Apply a patch?"
    body = "1 test failed"
    evidence = factory.List([{"number": 12, "text": "E   assert 1 == 2", "rule": "pytest.assert"}])
    action = factory.Dict({"type": "apply_patch", "patch": PATCH, "base_commit": "abc123"})
    requested_by = None
    expires_at = None

    @classmethod
    def _create(cls, model_class, run, **fields):
        lease = take_lease(run.pk)
        with transaction.atomic():
            gate = open_gate(run, settings_hash=effective_settings(run).governing_hash(), lease=lease, **fields)
        lease.release()
        return gate


def member(tenant, role=Role.OWNER, **user):
    return MembershipFactory(tenant=tenant, role=role, user=UserFactory(**user)).user


def token_of(user):
    return create_token(user, name="ci")[1]

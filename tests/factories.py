"""The smallest valid rows. A test states only the fields it is about."""

from __future__ import annotations

import factory
from django.contrib.auth.models import User
from factory.django import DjangoModelFactory

from metabuilder.builds.models import BuildRun, BuildStep, Membership, ScaffoldPlan, Tenant
from metabuilder.builds.plans import parse_plan
from metabuilder.builds.states import Role


class TenantFactory(DjangoModelFactory):
    class Meta:
        model = Tenant

    slug = factory.Sequence(lambda n: f"tenant-{n}")
    name = factory.LazyAttribute(lambda tenant: tenant.slug.title())


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user-{n}")


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    tenant = factory.SubFactory(TenantFactory)
    user = factory.SubFactory(UserFactory)
    role = Role.DEVELOPER


class ScaffoldPlanFactory(DjangoModelFactory):
    class Meta:
        model = ScaffoldPlan

    tenant = factory.SubFactory(TenantFactory)
    name = "build"
    body = factory.LazyAttribute(
        lambda plan: parse_plan({"name": plan.name, "steps": [{"name": "step", "run": "true"}]}).to_json()
    )
    digest = factory.LazyAttribute(lambda plan: parse_plan(plan.body).digest)


class BuildRunFactory(DjangoModelFactory):
    class Meta:
        model = BuildRun

    tenant = factory.SubFactory(TenantFactory)
    plan = factory.SubFactory(ScaffoldPlanFactory, tenant=factory.SelfAttribute("..tenant"))
    source = "/src"


class BuildStepFactory(DjangoModelFactory):
    class Meta:
        model = BuildStep

    run = factory.SubFactory(BuildRunFactory)
    name = "step"
    position = 0
    command = "true"

import pytest
from django.contrib.auth.models import AnonymousUser, User

from metabuilder.builds.models import Membership, Tenant
from metabuilder.builds.permissions import Action, may, role_of
from metabuilder.builds.states import Role

BUILDS = {Action.VIEW, Action.START, Action.CANCEL, Action.RETRY}


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.OWNER, set(Action)),
        (Role.ADMIN, set(Action)),
        (Role.DEVELOPER, BUILDS),
        (Role.VIEWER, {Action.VIEW}),
        (None, set()),
    ],
)
def test_may__each_role__allows_exactly_its_actions(role, allowed):
    assert {action for action in Action if may(role, action)} == allowed


def test_role_of__member__is_their_role_in_that_tenant_only(db):
    acme, other = (Tenant.objects.create(slug=slug, name=slug) for slug in ("acme", "other"))
    user = User.objects.create(username="ann")
    Membership.objects.create(tenant=acme, user=user, role="developer")
    assert role_of(user, acme) is role_of(user, acme.pk) is Role.DEVELOPER
    assert role_of(user, other) is None


def test_role_of__anonymous_inactive_or_only_a_superuser__is_none(db):
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    gone = User.objects.create(username="gone", is_active=False)
    Membership.objects.create(tenant=tenant, user=gone, role="owner")
    root = User.objects.create(username="root", is_superuser=True)
    assert [role_of(user, tenant) for user in (AnonymousUser(), gone, root)] == [None, None, None]

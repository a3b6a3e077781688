"""Who belongs to a tenant. Every change is audited in its own transaction."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from metabuilder.audit.services import record_event
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.models import Membership, Tenant
from metabuilder.builds.states import Role


class AlreadyMember(MetabuilderError):
    """The user belongs to the tenant already. Nothing was changed."""

    code, http_status = "already_member", 409


class LastOwner(MetabuilderError):
    """A tenant keeps at least one owner. Nothing was changed."""

    code, http_status = "last_owner", 409

    def __init__(self, membership: Membership) -> None:
        super().__init__(f"{membership.user} is the last owner of {membership.tenant}; make another one first")


@transaction.atomic
def add_member(tenant: Tenant, user: User, role: Role, *, actor: User | None) -> Membership:
    """Raises AlreadyMember."""
    membership, added = Membership.objects.get_or_create(tenant=tenant, user=user, defaults={"role": role})
    if not added:
        raise AlreadyMember(f"{user} is already a member of {tenant}")
    _audit(membership, "added", actor, role=role)
    return membership


@transaction.atomic
def change_role(membership: Membership, role: Role, *, actor: User | None) -> Membership:
    """Raises LastOwner. Giving the role that the member has changes nothing and is not audited."""
    current = _locked(membership)
    if current.role == role:
        return current
    _keep_an_owner(current)
    old, current.role = current.role, role
    current.save(update_fields=["role"])
    _audit(current, "role", actor, role=role, old_role=old)
    return current


@transaction.atomic
def remove_member(membership: Membership, *, actor: User | None) -> None:
    """Raises LastOwner. The user's runs, decisions and audit events stay."""
    current = _locked(membership)
    _keep_an_owner(current)
    _audit(current, "removed", actor, role=Role(current.role))
    current.delete()


def _locked(membership: Membership) -> Membership:
    # The tenant's row stands for the set of its owners: two owners cannot remove each other at once.
    tenant = Tenant.objects.select_for_update().get(pk=membership.tenant_id)
    current = Membership.objects.select_related("user").get(pk=membership.pk)
    current.tenant = tenant
    return current


def _keep_an_owner(membership: Membership) -> None:
    others = Membership.objects.filter(tenant=membership.tenant_id, role=Role.OWNER).exclude(pk=membership.pk)
    if membership.role == Role.OWNER and not others.exists():
        raise LastOwner(membership)


def _audit(membership: Membership, change: str, actor: User | None, **facts: str) -> None:
    payload = {"user": membership.user.get_username(), "change": change, **facts}
    record_event("member.changed", tenant=membership.tenant, subject=membership, actor=actor, payload=payload)

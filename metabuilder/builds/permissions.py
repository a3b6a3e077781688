"""Who may do what in a tenant: one table, asked by every door."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from metabuilder.builds.errors import NotAllowed
from metabuilder.builds.models import Membership, Tenant
from metabuilder.builds.states import Role

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class Action(StrEnum):
    VIEW = "view"
    START = "start"
    CANCEL = "cancel"
    RETRY = "retry"
    DECIDE = "decide"  # approve or reject at a gate
    SETTINGS = "settings"


_DEVELOPERS = frozenset({Role.OWNER, Role.ADMIN, Role.DEVELOPER})
_ADMINS = frozenset({Role.OWNER, Role.ADMIN})

MAY: Mapping[Action, frozenset[Role]] = {
    Action.VIEW: frozenset(Role),
    Action.START: _DEVELOPERS,
    Action.CANCEL: _DEVELOPERS,
    Action.RETRY: _DEVELOPERS,
    Action.DECIDE: _ADMINS,
    Action.SETTINGS: _ADMINS,
}


def role_of(user: AbstractBaseUser | AnonymousUser, tenant: Tenant | UUID) -> Role | None:
    """Return the role of `user` in `tenant` (or its id); None for non-members, superusers among them."""
    if not user.pk or not user.is_active:
        return None
    role = Membership.objects.filter(tenant=tenant, user_id=user.pk).values_list("role", flat=True).first()
    return Role(role) if role else None


def may(role: Role | None, action: Action) -> bool:
    return role in MAY[action]


def check_may(actor: AbstractBaseUser | AnonymousUser, tenant: Tenant | UUID, action: Action) -> None:
    """Raise NotAllowed unless `actor` may do `action` in `tenant`."""
    role = role_of(actor, tenant)
    if may(role, action):
        return
    able = ", ".join(each.value for each in MAY[action])
    standing = f"Your role is {role.value}" if role else f"{actor} is no member of this tenant"
    raise NotAllowed(f"{standing}; this needs one of: {able}.")

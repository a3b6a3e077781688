"""The tenant `local` of the command line, whose owner is the operating-system user; and users by name."""

from __future__ import annotations

import getpass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.models import Membership, Tenant
from metabuilder.builds.states import Role

LOCAL_TENANT = "local"


class UnknownAccount(MetabuilderError):
    """No such tenant or user. Nothing was changed."""

    code, http_status = "unknown_account", 404


@transaction.atomic
def local_user() -> tuple[Tenant, User]:
    """Return the tenant `local` and the operating-system user as its owner, making them where they are missing."""
    tenant, _ = Tenant.objects.get_or_create(slug=LOCAL_TENANT, defaults={"name": "This machine"})
    user, created = get_user_model().objects.get_or_create(username=getpass.getuser())
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    Membership.objects.get_or_create(tenant=tenant, user=user, defaults={"role": Role.OWNER})
    return tenant, user


def account(tenant_slug: str | None, username: str | None) -> tuple[Tenant, User]:
    """Return the tenant and user a command acts as; the local ones where neither is named."""
    tenant, user = local_user()
    if tenant_slug:
        named = Tenant.objects.filter(slug=tenant_slug).first()
        if named is None:
            known = ", ".join(Tenant.objects.order_by("slug").values_list("slug", flat=True)[:20])
            raise UnknownAccount(f"no tenant {tenant_slug!r}; there are {known}")
        tenant = named
    if username:
        found = get_user_model().objects.filter(username=username).first()
        if found is None:
            raise UnknownAccount(f"no user {username!r}")
        user = found
    return tenant, user


def typed_by(user: User) -> str:
    """The operating-system user who typed a command as somebody else; "" where it is `user`'s own."""
    name = getpass.getuser()
    return "" if name == user.get_username() else name

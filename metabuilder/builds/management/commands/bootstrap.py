from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_slug
from django.db import connection, transaction

from metabuilder.builds.accounts import LOCAL_TENANT
from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.members import add_member
from metabuilder.builds.models import Membership, Tenant
from metabuilder.builds.states import Role


class Command(BaseCommand):
    help = (
        "Create the first tenant and its owner, and print the owner's password once. "
        "Safe to repeat: what exists is left as it is, and no password is printed or changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        whose = "tenant to create (default: local, to which the runs of the command line belong)"
        parser.add_argument("--tenant", default=LOCAL_TENANT, metavar="SLUG", help=whose)
        parser.add_argument("--username", default="owner", metavar="NAME", help="its owner (default: owner)")
        parser.add_argument("--email", default="", help="the owner's mail address")

    def handle(self, *, tenant: str, username: str, email: str, **options: Any) -> None:
        try:
            validate_slug(tenant)
        except ValidationError as error:
            raise CommandError(f"--tenant {tenant!r}: {error.messages[0]}") from error
        ensure_database()
        if "build_runs" not in connection.introspection.table_names():
            raise CommandError("the database has no tables yet; run `manage.py migrate` first")
        password = create_owner(tenant, username, email)
        if password is None:
            self.stdout.write(f"Tenant {tenant!r} and its owner {username!r} exist; nothing was changed.")
            return
        self.stdout.write(f"Tenant:   {tenant}\nUser:     {username}\nPassword: {password}")
        self.stdout.write("This password is shown once. Change it after signing in (admin, top right).")


@transaction.atomic
def create_owner(tenant_slug: str, username: str, email: str) -> str | None:
    """Make the tenant, the user and the membership where missing; return the password of a user made now."""
    tenant, _ = Tenant.objects.get_or_create(slug=tenant_slug, defaults={"name": tenant_slug})
    user, password = _owner(username, email)
    if not Membership.objects.filter(tenant=tenant, user=user).exists():
        add_member(tenant, user, Role.OWNER, actor=None)
    return password


def _owner(username: str, email: str) -> tuple[User, str | None]:
    users = get_user_model().objects
    if existing := users.filter(username=username).first():
        return existing, None
    password = secrets.token_urlsafe(12)
    # Somebody must be able to make the other accounts: the first owner administers the platform.
    first = not users.filter(is_superuser=True).exists()
    user = users.create_user(username, email, password, is_staff=True, is_superuser=first)
    return user, password

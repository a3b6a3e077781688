from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.models import ApiToken
from metabuilder.builds.tokens import create_token


class Command(BaseCommand):
    help = (
        "Make an API token for a user and print it once, alone on standard output. Programs send it as "
        "`Authorization: Bearer TOKEN`; it may do what its user may."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USER")
        parser.add_argument("--name", required=True, help="what the token is for, to know it again later")

    def handle(self, *, username: str, name: str, **options: Any) -> None:
        ensure_database()
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"no user {username!r}")
        if not user.is_active:
            raise CommandError(f"the user {username!r} is not active")
        limit = ApiToken._meta.get_field("name").max_length
        if not name.strip() or len(name) > (limit or 0):
            raise CommandError(f"--name: give 1 to {limit} characters")
        _, plain = create_token(user, name=name)
        self.stdout.write(plain)
        self.stderr.write("This token is shown once.")

"""`manage.py retry_run RUN`: queue an ended run again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from metabuilder.builds.accounts import account, typed_by
from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.runs import find_run, retry_run


class Command(BaseCommand):
    help = "Queue a failed, rolled back or cancelled run again, with fresh budgets. Its history is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="id of the run, or the beginning of it")
        parser.add_argument("--as", dest="username", metavar="USER", help="who retries it (default: you)")

    def handle(self, *, run: str, username: str | None, **options: Any) -> None:
        ensure_database()
        try:
            _, user = account(None, username)
            found = retry_run(find_run(run, user), actor=user, os_user=typed_by(user))
        except MetabuilderError as error:
            raise CommandError(str(error), returncode=2) from error
        self.stdout.write(f"run {found.pk} is {found.status}, iteration {found.iteration}")

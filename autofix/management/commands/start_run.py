"""`manage.py start_run PATH|URL`: queue a build for the workers."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from autofix.plan_files import plan_for
from metabuilder.builds.accounts import account, typed_by
from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.queue import worker_alive
from metabuilder.builds.runs import create_run


class Command(BaseCommand):
    help = (
        "Queue a build of a git repository; a worker (bin/serve, or manage.py worker) runs it. A path is built at its "
        "HEAD. A URL needs --plan. Prints the run's id."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", help="path of a git repository, or an https or ssh URL")
        parser.add_argument("--plan", metavar="FILE", help="plan file, YAML or JSON")
        parser.add_argument("--ref", default="", help="branch, tag or commit to build instead of HEAD")
        parser.add_argument("--hold", action="store_true", help="create the run, but do not start it yet")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--tenant", metavar="SLUG", help="tenant the run belongs to (default: local)")
        parser.add_argument("--as", dest="username", metavar="USER", help="who starts it (default: you)")

    def handle(self, *, source: str, **options: Any) -> None:
        ensure_database()
        local = "://" not in source and Path(source).is_dir()
        try:
            tenant, user = account(options["tenant"], options["username"])
            path = Path(source).resolve() if local else None
            plan, _ = plan_for(path, options["plan"])
            run = create_run(
                tenant=tenant,
                actor=user,
                source=str(path) if path else source,
                plan=plan,
                ref=options["ref"],
                hold=options["hold"],
                os_user=typed_by(user),
            )
        except MetabuilderError as error:
            raise CommandError(str(error), returncode=2) from error
        if options["json"]:
            self.stdout.write(json.dumps({"run_id": str(run.pk), "status": run.status}))
            return
        self.stdout.write(f"run {run.pk} is {'held' if run.hold else run.status}: {len(plan.steps)} steps")
        if not worker_alive():
            self.stderr.write("No worker is running; start one with bin/serve or manage.py worker.")

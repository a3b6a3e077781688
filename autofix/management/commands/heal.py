"""`manage.py heal PATH`: run a build in the foreground and heal it where it breaks."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from autofix import orchestrator
from autofix.console import Console
from autofix.plan_files import plan_for
from autofix.report import EXIT_STATUS, run_report, write_out
from metabuilder.builds.accounts import account, typed_by
from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.errors import LeaseBusy, MetabuilderError
from metabuilder.builds.models import BuildRun
from metabuilder.builds.permissions import Action, check_may
from metabuilder.builds.runs import (
    create_run,
    find_run,
    leave_foreground,
    request_cancel,
    retry_run,
    take_to_foreground,
)
from metabuilder.builds.states import RETRYABLE_RUNS, RunStatus
from metabuilder.builds.workspace_errors import (
    EmptyRepository,
    NotARepository,
    RefNotFound,
    SourceNotFound,
    SourceRefused,
    WorktreeUnavailable,
)
from metabuilder.builds.workspaces import Workspace

logger = logging.getLogger("autofix")

USAGE, INTERNAL = 2, 70
UNUSABLE_SOURCE = (
    SourceRefused,
    SourceNotFound,
    NotARepository,
    EmptyRepository,
    RefNotFound,
    WorktreeUnavailable,
)


class Command(BaseCommand):
    help = (
        "Run a build of a git repository in the foreground, healing it where it breaks. Without --plan the plan is "
        "metabuilder.yaml of the repository, else one derived from what the repository has. The repository is not "
        "touched: fixes end on a branch in a repository of the run's own. Exit status: 0 succeeded, 1 failed or "
        "rolled back, 2 bad usage, 3 waiting for approval, 130 cancelled, 70 our own failure."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", nargs="?", help="the git repository to build; its HEAD is built")
        parser.add_argument("--plan", metavar="FILE", help="plan file, YAML or JSON")
        parser.add_argument("--ref", default="", help="branch, tag or commit to build instead of HEAD")
        parser.add_argument("--worktree", action="store_true", help="include uncommitted changes")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")
        parser.add_argument("--out", metavar="DIR", help="write result, patch and step logs there")
        parser.add_argument("--resume", metavar="RUN", help="go on with a cancelled, failed or interrupted run")
        parser.add_argument("--show-plan", action="store_true", help="show the plan and stop")
        parser.add_argument("--tenant", metavar="SLUG", help="tenant the run belongs to (default: local)")
        parser.add_argument("--as", dest="username", metavar="USER", help="who starts it (default: you)")

    def handle(self, **options: Any) -> None:
        as_json = options["json"]
        console = Console(sys.stderr if as_json else sys.stdout)
        run: BuildRun | None = None
        try:
            ensure_database()
            run = self._run(options, console)
            if run is None:
                return
            status = self._advance(run, console)
            report = run_report(run)
        except CommandError:
            raise
        except UNUSABLE_SOURCE as error:
            raise CommandError(str(error), returncode=USAGE) from error
        except Exception as error:  # the boundary: whatever broke here is ours, and exit status 70 says so
            if run is None and isinstance(error, MetabuilderError):
                raise CommandError(str(error), returncode=USAGE) from error
            logger.debug("our own failure", exc_info=True)
            status, report = INTERNAL, run_report(run, error=error)
            console.failed(str(error) or type(error).__name__)
        if options["out"] and run:
            write_out(run, report, Path(options["out"]))
        if as_json:
            self.stdout.write(json.dumps(report))
        elif run and status != INTERNAL:
            console.closing(run, report)
        if status:
            sys.exit(status)

    def _run(self, options: dict[str, Any], console: Console) -> BuildRun | None:
        """Create the run, or take up the one to resume. None where only the plan was asked for."""
        tenant, user = account(options["tenant"], options["username"])
        if options["resume"]:
            return resumed(options["resume"], user)
        if not options["path"]:
            raise CommandError("name the repository to build, or a run with --resume", returncode=USAGE)
        path = Path(options["path"]).resolve()
        if not path.is_dir():
            raise CommandError(f"{options['path']}: no such directory", returncode=USAGE)
        plan, origin = plan_for(path, options["plan"])
        console.plan(plan, origin)
        if options["show_plan"]:
            return None
        if not options["worktree"]:
            console.uncommitted(Workspace.worktree_warning(str(path)))
        return create_run(
            tenant=tenant,
            actor=user,
            source=str(path),
            plan=plan,
            ref=options["ref"],
            foreground=True,
            include_worktree=options["worktree"],
            os_user=typed_by(user),
        )

    def _advance(self, run: BuildRun, console: Console) -> int:
        try:
            with interrupts(run, console):
                orchestrator.advance(run.pk, progress=console, wait=True)
        finally:
            leave_foreground(run)
        return EXIT_STATUS[RunStatus(run.status)]


def resumed(run_id: str, user: User) -> BuildRun:
    """Find the run to go on with; an ended one starts its next iteration."""
    run = wait_for_lease(find_run(run_id, user))
    if run.status in RETRYABLE_RUNS:
        return retry_run(run, actor=user, foreground=True, os_user=typed_by(user))
    if run.status == RunStatus.SUCCEEDED:
        raise CommandError(f"run {run.pk} has succeeded; there is nothing to resume", returncode=USAGE)
    check_may(user, run.tenant_id, Action.RETRY)
    waits_for_people = run.status == RunStatus.WAITING_APPROVAL and run.wake_at is None
    if not waits_for_people:
        take_to_foreground(run)
    return run


def wait_for_lease(run: BuildRun) -> BuildRun:
    """Wait until a holder that was killed, or is just stopping, has lost the run. LeaseBusy: it lives."""
    give_up_at = time.monotonic() + settings.METABUILDER_LEASE_SECONDS + 1
    while run.lease_expires_at and run.lease_expires_at > timezone.now():
        if time.monotonic() > give_up_at:
            raise LeaseBusy(run.pk)
        time.sleep(0.2)
        run.refresh_from_db()
    return run


class interrupts:  # noqa: N801 - a context manager, named for how it reads
    """Ctrl-C asks once whether to cancel; a second one cancels without asking."""

    def __init__(self, run: BuildRun, console: Console) -> None:
        self.run_id: UUID = run.pk
        self.console = console
        self.asked = False

    def __enter__(self) -> None:
        self.before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and sys.stdin.isatty() and not self.asked:
            self.asked = True
            if not self.console.confirm("Cancel this run?"):
                self.asked = False
                return
        # Not in the handler: the main thread may be in the middle of a database call.
        threading.Thread(target=self._cancel, daemon=True).start()

    def _cancel(self) -> None:
        from django.db import connection

        try:
            request_cancel(BuildRun.objects.get(pk=self.run_id), actor=None)
        except MetabuilderError:
            return  # it has ended meanwhile
        finally:
            connection.close()

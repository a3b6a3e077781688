"""`manage.py autofix_history [RUN]`: what was decided, why, and what came of it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from rich.console import Console
from rich.markup import escape

from autofix.models import AutoFixRun
from autofix.report import attempt_record
from metabuilder.builds.accounts import account
from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.runs import find_run


class Command(BaseCommand):
    help = "Show the auto-fix attempts of a run with their trials, or the latest attempts of all your runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", nargs="?", help="id of the run, or the beginning of it")
        parser.add_argument("--limit", type=int, default=50, help="how many attempts at most (default: 50)")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument("--as", dest="username", metavar="USER", help="whose runs (default: yours)")

    def handle(self, *, run: str | None, limit: int, username: str | None, **options: Any) -> None:
        ensure_database()
        try:
            _, user = account(None, username)
            rows: QuerySet[AutoFixRun] = AutoFixRun.objects.visible_to(user)
            if run:
                rows = rows.filter(run=find_run(run, user))
        except MetabuilderError as error:
            raise CommandError(str(error), returncode=2) from error
        latest = rows.select_related("step", "run").prefetch_related("trials").order_by("-created_at")[:limit]
        for row in reversed(latest):
            if options["json"]:
                self.stdout.write(json.dumps(_record(row)))
            else:
                self._show(row)
        if not latest and not options["json"]:
            self.stdout.write("No attempts: nothing failed, or auto-fix is off.")

    def _show(self, row: AutoFixRun) -> None:
        out = Console(file=cast("IO[str]", self.stdout._out), highlight=False)
        decision = row.decision or {}
        out.print(
            f"{row.created_at:%Y-%m-%d %H:%M:%S}  {str(row.run_id)[:8]}  [bold]{escape(row.step.name)}[/] "
            f"#{row.attempt}  {row.signal_type}  {row.strategy}  [bold]{row.outcome}[/]"
        )
        for text in (decision.get("reason"), decision.get("result")):
            if text:
                out.print(f"    {escape(text)}")
        for trial in row.trials.all():
            mark = "passed" if trial.passed else "put back"
            out.print(f"    trial {trial.number} {mark}: {escape(trial.summary)} [dim]{escape(trial.reason)}[/]")


def _record(row: AutoFixRun) -> dict[str, Any]:
    trials = [
        {
            "number": t.number,
            "summary": t.summary,
            "passed": t.passed,
            "level": t.ladder_level,
            "reason": t.reason,
        }
        for t in row.trials.all()
    ]
    decision = row.decision or {}
    facts = {"run_id": str(row.run_id), "created_at": row.created_at.isoformat(), "iteration": row.iteration}
    reasons = {"reason": decision.get("reason"), "result": decision.get("result")}
    return {**facts, **attempt_record(row), **reasons, "candidate": row.candidate_key, "trials": trials}

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil

from approvals import presentation, services
from approvals.models import ApprovalGate
from approvals.rules import GateStatus
from metabuilder.builds.accounts import account
from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.queue import worker_alive


class Command(BaseCommand):
    help = (
        "List, show and decide approval gates. A gate is named by its id or the beginning of it. "
        "When no worker is alive, a decision is carried out at once, in the foreground."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="list|show|approve|reject")
        listing = commands.add_parser("list", help="the gates that wait for a decision")
        listing.add_argument("--all", action="store_true", help="closed gates too")
        show = commands.add_parser("show", help="what failed, the evidence, and what exactly approval does")
        approve = commands.add_parser("approve", help="have the action carried out")
        approve.add_argument("--comment", default="", metavar="TEXT")
        reject = commands.add_parser("reject", help="have the run rolled back")
        reject.add_argument("--reason", default="", metavar="TEXT", help="why; required")
        for command in (show, approve, reject):
            command.add_argument("gate", metavar="ID")
        for command in (listing, show, approve, reject):
            command.add_argument("--as", dest="username", metavar="USER", help="act as this user (default: yourself)")
            command.add_argument("--json", action="store_true", dest="as_json", help="print JSON on standard output")

    def handle(self, *, command: str, username: str | None, as_json: bool, **options: Any) -> None:
        ensure_database()
        try:
            _, user = account(None, username)
            if command == "list":
                self._list(user, as_json, everything=options["all"])
            elif command == "show":
                self._show(_find(options["gate"], user), as_json)
            else:
                self._decide(command, _find(options["gate"], user), user, as_json, options)
        except MetabuilderError as error:
            raise CommandError(str(error)) from error

    def _list(self, user: User, as_json: bool, *, everything: bool) -> None:
        gates = ApprovalGate.objects.visible_to(user).select_related("run__tenant", "step").order_by("created_at")
        if not everything:
            gates = gates.pending()
        if as_json:
            return self._print_json({"gates": [_summary(gate) for gate in gates]})
        for gate in gates:
            age = timesince(gate.created_at)
            title = presentation.visible(gate.title)
            self.stdout.write(f"{str(gate.pk)[:8]}  {gate.status:<9}  {gate.kind:<13}  {age:<18}  {title}")
        if not gates:
            self.stdout.write("No gates." if everything else "No gate waits for a decision.")
        return None

    def _show(self, gate: ApprovalGate, as_json: bool) -> None:
        if as_json:
            return self._print_json(
                _summary(gate) | {"body": gate.body, "evidence": gate.evidence, "action": gate.action}
            )
        self._print_question(gate)
        self._print_action(gate)
        for decision in gate.decisions.select_related("actor"):
            reason = f": {presentation.visible(decision.comment)}" if decision.comment else ""
            self._print_section("Decision", [f"{decision.verdict} by {decision.actor}{reason}"])
        if gate.status == GateStatus.PENDING:
            short = str(gate.pk)[:8]
            self._print_section("Decide", [f"gates approve {short}", f"gates reject {short} --reason TEXT"])
        return None

    def _print_question(self, gate: ApprovalGate) -> None:
        self.stdout.write(f"Gate {gate.pk}  {gate.status}. {presentation.closing(gate.status)}")
        self.stdout.write(presentation.visible(gate.title))
        asked_by = gate.requested_by.get_username() if gate.requested_by else "the system"
        facts = [f"run {gate.run_id}, tenant {gate.run.tenant}", f"kind {gate.kind}, asked for by {asked_by}"]
        if gate.step:
            facts.insert(1, f"step {gate.step.name}: {presentation.visible(gate.step.command)}")
        if gate.status == GateStatus.PENDING and gate.expires_at:
            left = timeuntil(gate.expires_at) if gate.expires_at > timezone.now() else "no time"
            facts.append(f"expires at {gate.expires_at:%Y-%m-%d %H:%M} UTC ({left} left)")
        self._print_section("About", facts)
        if gate.body:
            self._print_section("What failed", presentation.visible(gate.body).splitlines())
        if gate.evidence:
            self._print_section("Evidence (line of the log)", presentation.evidence_lines(gate.evidence))

    def _print_action(self, gate: ApprovalGate) -> None:
        self._print_section("If you approve", presentation.meaning(gate.action))
        if patch := gate.action.get("patch"):
            self._print_section("The patch", [line.text for line in presentation.diff_lines(patch)])
        self._print_section("The exact action", presentation.exact(gate.action).splitlines())
        self._print_section("If you reject", [presentation.REJECTION])

    def _print_section(self, title: str, lines: list[str]) -> None:
        self.stdout.write(f"\n{title}")
        for line in lines:
            self.stdout.write(f"  {line}")

    def _decide(self, command: str, gate: ApprovalGate, user: User, as_json: bool, options: dict[str, Any]) -> None:
        if command == "approve":
            gate = services.approve_gate(gate, actor=user, comment=options["comment"])
        else:
            gate = services.reject_gate(gate, actor=user, comment=options["reason"])
        if not as_json:
            self.stdout.write(f"Gate {gate.pk} is {gate.status}.")
        # With --json only the object goes to standard output.
        acted = services.after_decision(gate, self.stderr if as_json else self.stdout)
        if as_json:
            self._print_json(_summary(gate) | {"performed": acted})
        elif not acted:
            worker = "A worker carries it out." if worker_alive() else "It waits for a worker to start."
            self.stdout.write(worker)

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, ensure_ascii=True))


def _find(text: str, user: User) -> ApprovalGate:
    prefix = text.replace("-", "").lower()
    if not 0 < len(prefix) <= 32 or set(prefix) - set("0123456789abcdef"):
        raise CommandError(f"{text!r} is no gate id")
    # The ids with this beginning are those between it filled up with zeros and with ones.
    first, last = UUID(prefix.ljust(32, "0")), UUID(prefix.ljust(32, "f"))
    gates = ApprovalGate.objects.visible_to(user).select_related("run__tenant", "step", "requested_by")
    found = list(gates.filter(pk__gte=first, pk__lte=last)[:2])
    if len(found) > 1:
        raise CommandError(f"{text!r} is the beginning of several gate ids; give more of it")
    if not found:
        raise CommandError(f"no gate {text!r} that {user} may see")
    return found[0]


def _summary(gate: ApprovalGate) -> dict[str, Any]:
    return {
        "id": str(gate.pk),
        "run_id": str(gate.run_id),
        "step": gate.step.name if gate.step else None,
        "status": gate.status,
        "kind": gate.kind,
        "title": gate.title,
        "action_hash": gate.action_hash,
        "created_at": gate.created_at.isoformat(),
        "expires_at": gate.expires_at.isoformat() if gate.expires_at else None,
    }

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from metabuilder.audit.models import AuditEvent
from metabuilder.audit.services import head_of, tenants_with_a_trail, verify_tenant


def anchor(text: str) -> tuple[int, str]:
    """Read SEQ:HASH, as the log prints it. A shortened hash would prove too little and is refused."""
    seq, _, hash = text.partition(":")
    if not (seq.isdecimal() and int(seq) > 0 and len(hash) == 64 and set(hash) <= set("0123456789abcdef")):
        raise argparse.ArgumentTypeError(f"{text!r}: expected SEQ:HASH as the log prints it")
    return int(seq), hash


class Command(BaseCommand):
    help = (
        "Verify the audit trail: every event's hash, the chain they form and the sealed head of each tenant. "
        "Exits with 1 and names each bad row."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", metavar="SLUG|ID", help="only this tenant's trail ('platform': no tenant's)")
        parser.add_argument(
            "--anchor",
            metavar="SEQ:HASH",
            type=anchor,
            action="append",
            default=[],
            help="a head from the log; finds a trail that was cut or rewritten as a whole; may be repeated",
        )

    def handle(self, *, tenant: str | None, anchor: list[tuple[int, str]], **options: Any) -> None:
        if AuditEvent._meta.db_table not in connection.introspection.table_names():
            # Not a success: where there was a trail, it is gone.
            raise CommandError("nothing to verify: this database has no audit trail yet", returncode=2)
        trails = tenants_with_a_trail()
        if tenant is not None:
            trails = _only(tenant, trails, anchored=bool(anchor))
        elif anchor and len(trails) != 1:
            raise CommandError("--anchor needs --tenant: it belongs to one tenant's trail", returncode=2)
        # One broken trail must not hide another's state.
        broken = [name for name in trails if not self._verify(name, trails[name], dict(anchor))]
        if broken:
            raise SystemExit(1)

    def _verify(self, tenant: str, label: str, anchors: dict[int, str]) -> bool:
        shown, problems = label or tenant or "platform", 0
        for problem in verify_tenant(tenant, anchors=anchors):
            problems += 1
            row = f"event {problem.event_id}" if problem.event_id else "no row"
            self.stdout.write(f"BAD  tenant {shown} ({tenant or '-'})  seq {problem.seq}  {row}: {problem.what}")
        count, head = AuditEvent.objects.filter(tenant=tenant).count(), head_of(tenant)
        verdict = f"{problems} problem(s)" if problems else "OK"
        self.stdout.write(f"{verdict}  tenant {shown}: {count} event(s), head {head.seq}:{head.hash}")
        return not problems


def _only(wanted: str, trails: dict[str, str], *, anchored: bool) -> dict[str, str]:
    wanted_id = "" if wanted == "platform" else wanted
    found = {tenant: label for tenant, label in trails.items() if tenant == wanted_id or label == wanted}
    # A trail that was deleted whole has no name left: only its anchors still tell of it.
    if not found and not anchored:
        known = ", ".join(sorted(label or tenant for tenant, label in trails.items())) or "none"
        raise CommandError(f"no audit trail of tenant {wanted!r}; there are: {known}", returncode=2)
    return found or {wanted_id: wanted}

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO, cast
from uuid import UUID

from django.apps import AppConfig

if TYPE_CHECKING:
    from approvals.services import Output


class AutofixConfig(AppConfig):
    name = "autofix"
    verbose_name = "Auto-Fix (v3)"

    def ready(self) -> None:
        from approvals.services import set_foreground_runner

        set_foreground_runner(_advance_here)


def _advance_here(run_id: UUID, stdout: Output) -> None:
    from autofix import orchestrator
    from autofix.console import Console

    orchestrator.advance(run_id, progress=Console(cast("TextIO", stdout)), wait=True)

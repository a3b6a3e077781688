"""Where fixers work: the workspace, and commands run in it as steps run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from autofix.fixers.base import CommandResult
from autofix.session import RunSession, StepResult
from metabuilder.builds.models import BuildStep
from metabuilder.builds.plans import StepSpec
from metabuilder.builds.states import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(kw_only=True)
class SessionBench:
    """The bench of a fixer: commands run under the run's keeper, in the step's own environment."""

    session: RunSession
    spec: StepSpec
    step: BuildStep
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.session.workspace.root

    def run(
        self,
        command: str,
        *,
        timeout: float = 120,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> CommandResult:
        spec = StepSpec(
            name=self.spec.name,
            run=command,
            cwd=cwd,
            env={**self.spec.env, **(env or {})},
            timeout_seconds=timeout,
        )
        if services:
            self.session.resume_background()
        try:
            result = self.session.run_again(self.step, spec, Purpose.PROOF)
        finally:
            if services:
                self.session.pause_background()
        return CommandResult(exit_code=_code(result), output=result.log.text(max_bytes=1 << 20))

    def progress(self, message: str) -> None:
        self.session.progress.tell("fixer_says", message=message)


def _code(result: StepResult) -> int:
    return 1 if result.exit_code is None else result.exit_code

"""What a fixer is. A fixer proposes candidates for a failure; a chosen candidate is worked off as trials.

Ecosystem fixers, dependency repair, codemods and anything found through the entry point group
`metabuilder.fixers` implement the one protocol here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from autofix.decision import Candidate
from autofix.failures import FailureSignal
from metabuilder.builds.plans import Plan, StepSpec


class CannotFix(Exception):
    """The candidate turned out not to apply; `str(error)` says why. Whatever it changed is put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed step as a fixer sees it. `log` is the end of the failed execution's log, at most 1 MiB."""

    signal: FailureSignal
    step: StepSpec
    plan: Plan
    root: Path  # the workspace; a fixer may read it freely, and edit it only inside `trials`
    log: str
    committed_at: datetime  # of the commit that is built


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    exit_code: int  # 124 when the time was up
    output: str  # standard output and error together, redacted, the last 1 MiB

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class Bench(Protocol):
    """Where a trial is made: the workspace and a way to run commands in it, as steps run."""

    root: Path

    def run(
        self,
        command: str,
        *,
        timeout: float = 120,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> CommandResult:
        """Run a bash command with the step's own environment. Never raises for a failing command.

        What earlier steps left running is stopped meanwhile, unless the command needs such `services`.
        """
        ...

    def progress(self, message: str) -> None:
        """Tell whoever watches what is being tried."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One trial. Edits are those made in the workspace since the trial began; `plan` replaces the run's plan.

    `rebuild`: environments (.venv, node_modules) are set aside and built anew by the plan's set-up steps before the
    proof, so that what is declared is what is proven. `keep_looking`: if the proof passes, remember this trial as the
    best so far, put everything back and ask for the next one; when the generator ends, the best one is applied again.
    `formatting`: the diff is the output of the project's own formatter and may touch many lines.
    `vouched`: names of distributions that this trial may add, because a maintained source names them.
    """

    summary: str  # one line for people and the commit message
    plan: Plan | None = None
    rebuild: bool = False
    keep_looking: bool = False
    formatting: bool = False
    vouched: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What became of a proposal. `signal` and `log` are those of the step that failed the proof, if one did."""

    passed: bool
    reason: str
    signal: FailureSignal | None = None
    step: str | None = None
    log: str = ""


Trials = Generator[Proposal, TrialResult, None]


class Fixer(Protocol):
    @property
    def name(self) -> str:
        """Stable, e.g. "python.ruff": it stands in records and commit messages."""
        ...

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        """Return what this fixer could do about the failure, best first; empty where it does not apply.

        Reads the workspace only; runs no command and changes nothing. Never raises for a strange project.
        """
        ...

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        """Work the candidate off: edit the workspace, yield a Proposal, receive its TrialResult.

        Each yield is guarded and proven. After a failed or kept proposal the workspace is as it was before the
        candidate; after one that passed without `keep_looking` the generator is closed. Raises CannotFix.
        """
        ...

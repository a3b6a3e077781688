"""Healed means that the whole plan passed on the head commit: running again what passed on an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from django.db.models import Max, QuerySet

from autofix import budgets
from autofix.blame import passes_without_fixes
from autofix.fixers.installs import installs
from autofix.proofs import is_set_up
from autofix.session import RunSession
from metabuilder.builds.environments import Environments
from metabuilder.builds.models import BuildStep, StepExecution
from metabuilder.builds.plans import Effects, StepSpec
from metabuilder.builds.states import ExecutionEnd, Purpose, StepStatus
from metabuilder.builds.transitions import move_step


@dataclass(kw_only=True)
class Confirmation:
    """`unrepeatable` holds steps with effects that fail when run twice, with the fixes and without them."""

    session: RunSession
    unrepeatable: set[UUID] = field(default_factory=set)

    def first_that_fails(self) -> BuildStep | None:
        """Run what the head commit has not seen; return the first step that fails on it, re-opened."""
        session = self.session
        head = session.workspace.head_commit
        if head == session.workspace.base_commit and not budgets.any_reverted(session.run):
            return None
        if failed := self._rebuild(head):
            return failed
        passed = self._passed(head)
        for step, spec in self._green_steps():
            if is_set_up(spec) or step.pk in passed or step.pk in self.unrepeatable:
                continue
            if session.run_again(step, spec, Purpose.PROOF, commit=head).passed:
                session.workspace.snapshot(step.name)
            elif spec.effects is not Effects.NONE and not passes_without_fixes(session, step, spec):
                self.unrepeatable.add(step.pk)
            else:
                return self._reopened(step)
        return None

    def _green_steps(self) -> Iterator[tuple[BuildStep, StepSpec]]:
        rows = {step.name: step for step in self.session.run.steps.filter(status=StepStatus.SUCCEEDED)}
        for spec in self.session.plan.order():
            if spec.name in rows and spec.effects is not Effects.EXTERNAL:
                step = rows[spec.name]
                step.run = self.session.run
                yield step, spec

    def _at(self, head: str) -> QuerySet[StepExecution]:
        run = self.session.run
        passed = StepExecution.objects.filter(step__run=run, iteration=run.iteration, commit=head)
        return passed.filter(end=ExecutionEnd.EXITED, exit_code=0)

    def _passed(self, head: str) -> set[UUID]:
        """The steps that passed on `head`, in the environment that was last built for it."""
        at_head = self._at(head)
        set_up = [step.pk for step, spec in self._green_steps() if is_set_up(spec)]
        since = at_head.filter(step__in=set_up).aggregate(last=Max("started_at"))["last"]
        if since:
            at_head = at_head.filter(started_at__gte=since)
        return set(at_head.values_list("step", flat=True))

    def _rebuild(self, head: str) -> BuildStep | None:
        """Install the project again where the plan installs it: a copy in an environment does not have the fixes."""
        session = self.session
        set_up = [(step, spec) for step, spec in self._green_steps() if is_set_up(spec)]
        seen = set(self._at(head).values_list("step", flat=True))
        installed = any(install.projects for install in installs(session.plan, session.workspace.root))
        if not installed or all(step.pk in seen for step, _ in set_up):
            return None
        environments = Environments(session.workspace)
        aside = environments.set_aside()
        for step, spec in set_up:
            if not session.run_again(step, spec, Purpose.REPLAY, commit=head).passed:
                environments.restore(aside)
                return self._reopened(step)
        environments.discard(aside)
        return None

    def _reopened(self, step: BuildStep) -> BuildStep:
        with transaction.atomic():
            move_step(step, StepStatus.PENDING, lease=self.session.lease)
        step.run = self.session.run
        return step

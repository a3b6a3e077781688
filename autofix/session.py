"""One holder's work on one run: its lease, workspace, processes and settings, and how it executes a command."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from autofix import metrics
from autofix.budgets import log_fields
from autofix.progress import Progress, Silent
from metabuilder.builds.commands import Command, ExecutionResult, Limits
from metabuilder.builds.environment import (
    ensure_tools_dir,
    prepare_cache,
    prepare_home,
    step_environment,
)
from metabuilder.builds.errors import LeaseLost, MetabuilderError
from metabuilder.builds.execution import Keeper, KeeperLost
from metabuilder.builds.leftovers import ProcessIdentity
from metabuilder.builds.logs import LogWriter, StoredLog, log_ref, open_log, stored_log
from metabuilder.builds.masking import names_a_secret
from metabuilder.builds.models import BuildRun, BuildStep, StepExecution
from metabuilder.builds.states import ExecutionEnd, Purpose
from metabuilder.builds.workspaces import Workspace
from settings_flags.services import effective_settings, engaged_kill_switch

if TYPE_CHECKING:
    from autofix.policy import RetryPolicy
    from metabuilder.builds.leases import Lease
    from metabuilder.builds.plans import Plan, StepSpec
    from settings_flags.resolution import EffectiveSettings

logger = logging.getLogger("autofix")

LIMITS = Limits(max_processes=2048)  # a fork bomb is far above, a parallel build far below


class Stopped(MetabuilderError):
    """The run has to stop now; `reason` is cancelled, deadline or kill_switch. What ran has been ended."""

    code, http_status = "stopped", 409

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One finished execution. A timed-out one has no exit code of its own."""

    execution: StepExecution
    end: str
    exit_code: int | None
    seconds: float
    log: StoredLog

    @property
    def passed(self) -> bool:
        return self.end == ExecutionEnd.EXITED and self.exit_code == 0


@dataclass(kw_only=True)
class RunSession:
    """Everything that the holder of a run's lease works with. Close it (it is a context manager) when done."""

    run: BuildRun
    lease: Lease
    workspace: Workspace
    policy: RetryPolicy
    settings: EffectiveSettings
    progress: Progress = field(default_factory=Silent)
    wait: bool = False  # wait out backoffs here instead of handing over to a due message
    ending: bool = False  # what is undone at the end is neither cancelled nor cut off by the deadline
    _keeper: Keeper | None = None
    _plan: tuple[UUID, Plan] | None = None  # with its row's id; plans are immutable

    def __enter__(self) -> RunSession:
        return self

    def __exit__(self, *_: object) -> None:
        if self._keeper:
            self._keeper.close()

    @property
    def keeper(self) -> Keeper:
        if self._keeper is None:
            # With the fence: what an earlier holder still ends of its own must not be ours.
            self._keeper = Keeper(f"{self.run.pk}:{self.lease.fence}")
            # Stored before any command starts, so that whoever takes over can end what we leave behind.
            self.update_run(processes=self._keeper.identity.to_json())
        return self._keeper

    def has_background(self) -> bool:
        """Whether processes that a step started in the background are alive: they end with this session."""
        return self._keeper is not None and self._keeper.has_background()

    def end_processes(self) -> None:
        """End what the steps left running."""
        if self._keeper:
            self._keeper.end_all()

    def pause_background(self) -> None:
        """Stop what earlier steps left running, so that what changes now is a fixer's doing."""
        if self._keeper:
            self._keeper.pause()

    def resume_background(self) -> None:
        if self._keeper:
            self._keeper.resume()

    @cached_property
    def tools_dir(self) -> Path:
        return ensure_tools_dir(django_settings.METABUILDER_DATA_DIR / "tools")

    @property
    def plan(self) -> Plan:
        if self._plan is None or self._plan[0] != self.run.plan_id:
            self._plan = (self.run.plan_id, self.run.plan.plan())
        return self._plan[1]

    def update_run(self, **changes: Any) -> None:
        """Write columns of the run that are not its status."""
        with transaction.atomic():
            self.lease.hold()
            BuildRun.objects.filter(pk=self.run.pk).update(**changes)
        self.run.refresh_from_db()

    def reload_settings(self) -> None:
        self.settings = effective_settings(self.run)

    def remaining_seconds(self) -> float | None:
        if self.run.deadline_at is None:
            return None
        return (self.run.deadline_at - timezone.now()).total_seconds()

    def kill_switch(self) -> bool:
        return engaged_kill_switch(self.run.tenant) is not None

    def stop_reason(self) -> str | None:
        """Why a running command has to end now, or None. Asked several times a second."""
        if self.lease.lost.is_set():
            return "lease lost"
        if self.ending:
            return None
        if self.lease.cancelled.is_set():
            return "cancelled"
        remaining = self.remaining_seconds()
        if remaining is not None and remaining <= 0:
            return "deadline"
        return None

    def check_stop(self) -> None:
        """Raise LeaseLost or Stopped where the run must not go on."""
        reason = self.stop_reason()
        if reason == "lease lost":
            raise LeaseLost(self.run.pk, self.lease.fence)
        if reason:
            raise Stopped(reason)

    def check_kill_switch(self) -> None:
        """Raise Stopped where healing was stopped meanwhile; asked before anything is changed."""
        if self.kill_switch():
            raise Stopped("kill_switch")

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment of a command, before the run's own allow-list variables are overridden by `env`."""
        cache = django_settings.METABUILDER_DATA_DIR / "caches" / str(self.run.tenant_id)
        prepare_home(self.workspace.home, Path.home())
        prepare_cache(cache, Path.home())
        self.workspace.tmp.mkdir(parents=True, exist_ok=True)
        return step_environment(
            base=os.environ,
            step_env=env,
            home=self.workspace.home,
            tmp=self.workspace.tmp,
            cache=cache,
            passthrough=django_settings.METABUILDER_STEP_ENV,
            tools_dir=self.tools_dir,
        )

    def open_execution(self, step: BuildStep, spec: StepSpec, purpose: Purpose, commit: str) -> StepExecution:
        """Record that a command is about to start. The caller holds the lease in its transaction."""
        number = (step.executions.aggregate(last=Max("number"))["last"] or 0) + 1
        return StepExecution.objects.create(
            step=step,
            iteration=self.run.iteration,
            number=number,
            purpose=purpose,
            command=spec.run,
            started_at=timezone.now(),
            log_ref=log_ref(self.run.pk, step.pk, number),
            commit=commit,
        )

    def execute(
        self, execution: StepExecution, spec: StepSpec, *, close: Callable[[ExecutionResult], None] | None = None
    ) -> StepResult:
        """Run an opened execution's command to its end and close it. Raises LeaseLost or Stopped.

        `close` does so instead, together with whatever else follows; it is not called for a command that was stopped.
        """
        step = execution.step
        self.progress.tell("step_started", step=step, purpose=execution.purpose, command=spec.run)

        def remember(identity: ProcessIdentity) -> None:
            with transaction.atomic():
                self.lease.hold()
                StepExecution.objects.filter(pk=execution.pk).update(process=identity.to_json())

        asked_for = {name: os.environ.get(name, "") for name in django_settings.METABUILDER_STEP_ENV}
        secrets = secret_values(asked_for | dict(spec.env))
        with closing(open_log(execution.log_ref, secrets=secrets, max_bytes=LIMITS.max_log_bytes)) as log:
            result = self._execute(spec, log, remember)
            if result.end == ExecutionEnd.TIMED_OUT:
                log.append(f"\n[metabuilder] step timed out after {spec.timeout_seconds:g} s\n".encode())
            elif result.end == ExecutionEnd.KILLED and result.stop_reason:
                log.append(f"\n[metabuilder] step ended: {result.stop_reason}\n".encode())
        metrics.operation_seconds.labels("execute_step").observe(result.seconds)
        stopped = result.end == ExecutionEnd.KILLED and self.stop_reason() is not None
        if close and not stopped:
            close(result)
        else:
            with transaction.atomic():
                self.lease.hold()
                close_execution(execution, result)
        return self._closed(execution, result)

    def _execute(self, spec: StepSpec, log: LogWriter, remember: Callable[[ProcessIdentity], None]) -> ExecutionResult:
        started = time.monotonic()
        command = Command(
            run=spec.run,
            cwd=self.workspace.root / spec.cwd,
            env=self.environment(spec.env),
            timeout_seconds=spec.timeout_seconds,
            limits=LIMITS,
        )
        try:
            return self.keeper.execute(
                command,
                log,
                on_start=remember,
                should_stop=self.stop_reason,
                on_output=lambda text: self.progress.tell("output", text=text),
            )
        except KeeperLost as error:  # only the step itself has a reason to kill its keeper: its failure
            self._keeper = None
            return ExecutionResult(
                end=ExecutionEnd.KILLED.value,
                exit_code=None,
                seconds=time.monotonic() - started,
                log_bytes=log.size,
                truncated=log.truncated,
                stop_reason=str(error),
            )

    def _closed(self, execution: StepExecution, result: ExecutionResult) -> StepResult:
        execution.refresh_from_db()
        logger.debug("step executed", extra=log_fields(self.run, execution.step, **_facts(execution)))
        outcome = StepResult(
            execution=execution,
            end=result.end,
            exit_code=exit_code_of(result),
            seconds=result.seconds,
            log=stored_log(execution.log_ref),
        )
        self.progress.tell("step_ended", step=execution.step, purpose=execution.purpose, result=outcome)
        if result.end == ExecutionEnd.KILLED:
            self.check_stop()
        return outcome

    def run_again(self, step: BuildStep, spec: StepSpec, purpose: Purpose, *, commit: str = "") -> StepResult:
        """Execute a step's command beside its status: for a proof, a replay or to find what is to blame."""
        self.check_stop()
        with transaction.atomic():
            self.lease.hold()
            execution = self.open_execution(step, spec, purpose, commit)
        return self.execute(execution, spec)

    @contextmanager
    def timed(self, operation: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            metrics.operation_seconds.labels(operation).observe(time.monotonic() - started)


def close_execution(execution: StepExecution, result: ExecutionResult, **facts: Any) -> None:
    """Put an execution's end on record. The caller holds the lease in its transaction."""
    finished = {"end": result.end, "exit_code": result.exit_code, "finished_at": timezone.now(), **facts}
    StepExecution.objects.filter(pk=execution.pk, end="").update(**finished)


def exit_code_of(result: ExecutionResult) -> int | None:
    return 124 if result.end == ExecutionEnd.TIMED_OUT else result.exit_code


def _facts(execution: StepExecution) -> dict[str, object]:
    return {"purpose": execution.purpose, "end": execution.end, "exit_code": execution.exit_code}


def secret_values(env: Mapping[str, str]) -> list[str]:
    """Values of variables that are named as secrets are; too short a value would blacken the whole log."""
    return [value for name, value in env.items() if len(value) >= 6 and names_a_secret(name)]

"""Edits of a plan that a re-plan makes. Pure: a plan in, a plan out."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import replace

from metabuilder.builds.plans import Plan, StepKind, StepSpec

MAX_TIMEOUT_SECONDS = 24 * 3600.0
_PATH_VALUES = frozenset(("UV_CONSTRAINT", "PIP_CONSTRAINT", "UV_BUILD_CONSTRAINT"))


def with_install_env(plan: Plan, steps: Collection[str], env: Mapping[str, str], failing: str) -> Plan:
    """The plan with variables set on its installing steps (on the failing one where there is none).

    Files named relative to the workspace are named relative to each step's own directory.
    """
    for name in steps or (failing,):
        step = plan.step(name)
        own = {key: _relative(value, step.cwd) if key in _PATH_VALUES else value for key, value in env.items()}
        plan = plan.with_step_changed(name, env={**step.env, **own})
    return plan


def _relative(path: str, cwd: str) -> str:
    return posixpath.relpath(path, posixpath.normpath(cwd))


def with_install_step(plan: Plan, command: str, *, before: str, name: str = "install-more", cwd: str = ".") -> Plan:
    """The plan with an installing step put before another; the name is made unique."""
    taken, unique, number = {step.name for step in plan.steps}, name, 2
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    step = StepSpec(name=unique, kind=StepKind.INSTALL, run=command, cwd=cwd, network=True)
    target = plan.step(before)
    if target.network is False:
        step = replace(step, network=None)
    return plan.with_step_inserted(step, before=before)


def with_longer_timeout(plan: Plan, name: str, *, factor: float = 2.0) -> Plan | None:
    """The plan with a step's timeout multiplied, at most a day; None where it is there already."""
    step = plan.step(name)
    longer = min(step.timeout_seconds * factor, MAX_TIMEOUT_SECONDS)
    return plan.with_step_changed(name, timeout_seconds=longer) if longer > step.timeout_seconds else None


def with_path_entry(plan: Plan, name: str, folder: str) -> Plan:
    """The plan with a folder of the workspace put first on a step's PATH; the command itself stays as it is."""
    step = plan.step(name)
    here = _relative(folder, step.cwd)
    return plan.with_step_changed(name, run=f'export PATH="$PWD/{here}:$PATH"\n{step.run}')

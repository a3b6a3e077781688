"""A plan for a repository that brings none: derived from what its files declare, each step with its reason. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from metabuilder.builds.detection import ReasonedStep, node, others, python
from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.plans import Plan, StepKind, parse_plan


class NoPlanFound(MetabuilderError):
    """Nothing in the repository says how to build it. Write a metabuilder.yaml."""

    code: ClassVar[str] = "no_plan_found"
    http_status: ClassVar[int] = 422


class Repository(Mapping[str, str | None]):
    """A frozen view: path -> text, or None where the file is too large or not text. Texts are read when asked for."""

    def __init__(self, paths: tuple[str, ...], read: Callable[[str], str | None]) -> None:
        self._paths, self._read = dict.fromkeys(paths), read

    def __getitem__(self, path: str) -> str | None:
        if path not in self._paths:
            raise KeyError(path)
        return self._read(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, path: object) -> bool:
        return path in self._paths


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedPlan:
    """`reasons` has one line for each step, in the plan's order."""

    plan: Plan
    reasons: tuple[str, ...]


def derive_plan(files: Mapping[str, str | None], *, name: str = "derived") -> DerivedPlan:
    """The plan that the repository's own files ask for. Raises NoPlanFound.

    Languages are joined (a Django site with a front end gets both); pre-commit is run where it is configured, and
    the steps of a GitHub workflow only where nothing else is there.
    """
    steps = [*python.steps(files), *node.steps(files), *others.steps(files)]
    steps += others.pre_commit_steps(files, linted=any(entry.step.kind is StepKind.LINT for entry in steps))
    steps = steps or others.workflow_steps(files)
    if not steps:
        raise NoPlanFound("no plan file, and nothing here says how to install, check or test; write a metabuilder.yaml")
    steps = _uniquely_named(steps)
    plan = parse_plan(Plan(name=name, steps=tuple(entry.step for entry in steps)).to_json())
    return DerivedPlan(plan=plan, reasons=tuple(f"{entry.step.name}: {entry.reason}" for entry in steps))


def _uniquely_named(steps: list[ReasonedStep]) -> list[ReasonedStep]:
    """Two ecosystems may both have a `lint`; the later one gets a number."""
    taken: set[str] = set()
    named = []
    for entry in steps:
        name, number = entry.step.name, 1
        while name in taken:
            number += 1
            name = f"{entry.step.name}-{number}"
        taken.add(name)
        named.append(replace(entry, step=replace(entry.step, name=name)))
    return named

"""What a build does: a plan of steps, its digest, and the small edits that a re-plan makes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metabuilder.builds.plan_schema import Effects, InvalidPlan, StepKind, validate
from metabuilder.builds.plan_text import decode

__all__ = [
    "Effects",
    "InvalidPlan",
    "Plan",
    "StepKind",
    "StepSpec",
    "default_effects",
    "load_plan",
    "parse_plan",
]

DEFAULT_TIMEOUT_SECONDS = 900.0
_EFFECTS = {
    StepKind.LINT: Effects.NONE,
    StepKind.TYPECHECK: Effects.NONE,
    StepKind.TEST: Effects.NONE,
    StepKind.SECURITY: Effects.NONE,
    StepKind.POLICY: Effects.NONE,
    StepKind.DEPLOY: Effects.EXTERNAL,
}


def default_effects(kind: StepKind) -> Effects:
    return _EFFECTS.get(kind, Effects.WORKSPACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step: a command for bash, and what surrounds it.

    `needs` None means every earlier step of the plan; () means none. `network` None leaves it to the kind.
    `retry` maps a failure type's name to the policy fields it overrides. `probe` says (exit 0) that an
    external effect has already happened; `rollback` undoes it.
    """

    name: str
    kind: StepKind = StepKind.OTHER
    run: str
    needs: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    effects: Effects = None  # type: ignore[assignment]  # never None once built: the kind's default is filled in
    artifacts: tuple[str, ...] = ()
    probe: str | None = None
    rollback: str | None = None
    cwd: str = "."
    network: bool | None = None
    retry: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.effects is None:
            object.__setattr__(self, "effects", default_effects(self.kind))

    def to_json(self) -> dict[str, Any]:
        """The step in the schema's own spelling, without what equals the defaults."""
        optional: dict[str, tuple[Any, Any]] = {
            "kind": (str(self.kind), str(StepKind.OTHER)),
            "needs": (None if self.needs is None else list(self.needs), None),
            "cwd": (self.cwd, "."),
            "env": (dict(self.env), {}),
            "timeout": (_number(self.timeout_seconds), _number(DEFAULT_TIMEOUT_SECONDS)),
            "effects": (str(self.effects), str(default_effects(self.kind))),
            "artifacts": (list(self.artifacts), []),
            "probe": (self.probe, None),
            "rollback": (self.rollback, None),
            "network": (self.network, None),
            "retry": ({name: dict(fields) for name, fields in self.retry.items()}, {}),
        }
        spelled_out = {key: value for key, (value, default) in optional.items() if value != default}
        return {"name": self.name, "run": self.run, **spelled_out}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An immutable list of steps. Build one with `parse_plan` or `load_plan`, which validate."""

    name: str
    steps: tuple[StepSpec, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the plan with every default spelled out, so equal plans have equal digests."""
        steps = [self._canonical(step) for step in self.steps]
        text = json.dumps({"name": self.name, "steps": steps}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _canonical(self, step: StepSpec) -> dict[str, Any]:
        return {
            "name": step.name,
            "kind": step.kind,
            "run": step.run,
            "needs": sorted(self.needs_of(step)),
            "env": dict(step.env),
            "timeout": _number(step.timeout_seconds),
            "effects": step.effects,
            "artifacts": list(step.artifacts),
            "probe": step.probe,
            "rollback": step.rollback,
            "cwd": step.cwd,
            "network": step.network,
            "retry": {
                name: {key: _number(value) for key, value in fields.items()} for name, fields in step.retry.items()
            },
        }

    def to_json(self) -> dict[str, Any]:
        """The plan in the schema's own spelling; `parse_plan` of it gives an equal plan."""
        return {"name": self.name, "steps": [step.to_json() for step in self.steps]}

    def step(self, name: str) -> StepSpec:
        """Raises KeyError where the plan has no such step."""
        return self.steps[self.position(name)]

    def position(self, name: str) -> int:
        for index, step in enumerate(self.steps):
            if step.name == name:
                return index
        raise KeyError(name)

    def needs_of(self, step: StepSpec) -> tuple[str, ...]:
        """The names of the steps that `step` needs directly, with the default spelled out."""
        if step.needs is not None:
            return step.needs
        return tuple(earlier.name for earlier in self.steps[: self.position(step.name)])

    def order(self) -> tuple[StepSpec, ...]:
        """The steps in the order they run: needs first, otherwise as the file has them."""
        waiting, done, ordered = list(self.steps), set[str](), list[StepSpec]()
        needs = {step.name: frozenset(self.needs_of(step)) for step in self.steps}
        while waiting:
            ready = next((step for step in waiting if needs[step.name] <= done), None)
            if ready is None:
                raise InvalidPlan((f"steps: {', '.join(step.name for step in waiting)} can never start",))
            waiting.remove(ready)
            done.add(ready.name)
            ordered.append(ready)
        return tuple(ordered)

    def depends_on(self, step: str, needed: str) -> bool:
        """Whether `step` needs `needed`, directly or through others. A step does not depend on itself."""
        pending, seen = list(self.needs_of(self.step(step))), set[str]()
        while pending:
            name = pending.pop()
            if name == needed:
                return True
            if name not in seen:
                seen.add(name)
                pending += self.needs_of(self.step(name))
        return False

    def with_step_changed(self, name: str, /, **changes: Any) -> Plan:
        """A plan with fields of one step replaced. Raises KeyError, TypeError, or InvalidPlan; a new name is
        followed in the others' `needs`, a new kind brings its default effects where they were not chosen."""
        old = self.step(name)
        if "kind" in changes and old.effects == default_effects(old.kind):
            changes.setdefault("effects", None)
        new = replace(old, **changes)
        return self._checked(new if step is old else _renamed_need(step, name, new.name) for step in self.steps)

    def with_step_inserted(self, step: StepSpec, *, before: str) -> Plan:
        """A plan in which `step` runs before the step `before`. Raises KeyError or InvalidPlan.

        `before` comes to need it; where `step` leaves its needs to the default it needs every earlier step,
        except those that themselves wait for `before`.
        """
        position = self.position(before)
        earlier = self.steps[:position]
        if step.needs is None and any(self.depends_on(other.name, before) for other in earlier):
            free = tuple(other.name for other in earlier if not self.depends_on(other.name, before))
            step = replace(step, needs=free)
        target = self.steps[position]
        if target.needs is not None:
            target = replace(target, needs=(*target.needs, step.name))
        return self._checked((*earlier, step, target, *self.steps[position + 1 :]))

    def _checked(self, steps: Any) -> Plan:
        return parse_plan(Plan(name=self.name, steps=tuple(steps)).to_json())


def _renamed_need(step: StepSpec, old: str, new: str) -> StepSpec:
    if old == new or step.needs is None or old not in step.needs:
        return step
    return replace(step, needs=tuple(new if need == old else need for need in step.needs))


def _number(value: float) -> float:
    """An integral float as an int: 600 and 600.0 are the same plan."""
    return int(value) if value == int(value) else value


def parse_plan(data: object) -> Plan:
    """Validate a decoded document. Raises InvalidPlan naming every problem found, never anything else."""
    name, steps = validate(data)
    return Plan(name=name, steps=tuple(StepSpec(**fields) for fields in steps))


def load_plan(text: str, *, name: str = "metabuilder.yaml") -> Plan:
    """Read a plan from YAML or JSON text; `name` is the file's, for messages. Raises InvalidPlan."""
    return parse_plan(decode(text, name))

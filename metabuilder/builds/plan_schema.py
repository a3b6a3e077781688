"""The schema of a plan: which fields a document may have, within which limits, and what is wrong. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, ClassVar

from metabuilder.builds.errors import MetabuilderError

DEFAULT_PLAN_NAME = "build"
MAX_STEPS = 200
MAX_NAME = 100
MAX_COMMAND = 20_000
MAX_TIMEOUT_SECONDS = 24 * 3600
MAX_ENTRIES = 200  # of needs, env and artifacts
MAX_VALUE = 32_000  # characters of one env value
MAX_PATH = 1_000
_PROBLEMS_SHOWN = 50

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLAN_FIELDS = ("name", "steps")

# builds knows failure types by name only; autofix, which defines them, lies above.
_RETRY_TYPES = frozenset(
    {"TRANSIENT", "RATE_LIMIT", "INFRA", "LINT", "TYPECHECK", "TEST_ASSERT", "SECURITY", "POLICY", "RUNTIME"}
    | {"SCHEMA_MIGRATION", "UNKNOWN"}
)
_RETRY_LIMITS: dict[str, tuple[float, float]] = {
    "max_retries": (0, 20),
    "base_delay": (0, 3600),
    "max_delay": (0, 3600),
    "backoff_multiplier": (1, 10),
}


class InvalidPlan(MetabuilderError):
    """The plan breaks the schema. `problems` has one line each, starting with the path it is about."""

    code: ClassVar[str] = "invalid_plan"
    http_status: ClassVar[int] = 400

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        more = len(problems) - _PROBLEMS_SHOWN
        shown = [*problems[:_PROBLEMS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        super().__init__("invalid plan: " + "; ".join(shown))


class StepKind(StrEnum):
    """What a step is for. A hint for classification, and what its default effects follow from."""

    SETUP = "setup"
    INSTALL = "install"
    CODEGEN = "codegen"
    LINT = "lint"
    TYPECHECK = "typecheck"
    TEST = "test"
    MIGRATE = "migrate"
    SECURITY = "security"
    POLICY = "policy"
    BUILD = "build"
    DEPLOY = "deploy"
    OTHER = "other"


class Effects(StrEnum):
    """How far a step reaches. A step with external effects is never retried blind."""

    NONE = "none"
    WORKSPACE = "workspace"
    EXTERNAL = "external"


class _Problems:
    """Collects what is wrong. Each `take_*` returns the checked value, or None after noting a problem."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, path: str, problem: str) -> None:
        self.lines.append(f"{path}: {problem}" if path else problem)

    def take_text(self, path: str, value: object, limit: int) -> str | None:
        if not isinstance(value, str):
            self.note(path, f"must be text, not {_type_name(value)}")
        elif len(value) > limit:
            self.note(path, f"is {len(value)} characters long, the limit is {limit}")
        elif "\0" in value:
            self.note(path, "holds a NUL character")
        elif any("\ud800" <= character <= "\udfff" for character in value):
            self.note(path, "is not valid Unicode text")
        else:
            return value
        return None

    def take_name(self, path: str, value: object) -> str | None:
        text = self.take_text(path, value, MAX_NAME)
        if text is None:
            return None
        if not text.strip():
            self.note(path, "must not be empty")
        elif text != text.strip() or not text.isprintable():
            self.note(path, "must be one line of printable characters without surrounding spaces")
        else:
            return text
        return None

    def take_command(self, path: str, value: object) -> str | None:
        text = self.take_text(path, value, MAX_COMMAND)
        if text is not None and not text.strip():
            self.note(path, "the command is empty")
            return None
        return text

    def take_path(self, path: str, value: object) -> str | None:
        text = self.take_text(path, value, MAX_PATH)
        if text is None:
            return None
        if not text.strip():
            self.note(path, "must not be empty")
        elif text.startswith(("/", "~", "\\")) or re.match(r"[A-Za-z]:[\\/]", text):
            self.note(path, f"{text!r} is absolute; it must stay inside the workspace")
        elif ".." in PurePosixPath(text.replace("\\", "/")).parts:
            self.note(path, f"{text!r} leaves the workspace")
        else:
            return text
        return None

    def take_flag(self, path: str, value: object) -> bool | None:
        if isinstance(value, bool):
            return value
        self.note(path, f"must be true or false, not {_type_name(value)}")
        return None

    def take_number(self, path: str, value: object, low: float, high: float, *, open_low: bool = False) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.note(path, f"must be a number, not {_type_name(value)}")
        elif not low <= value <= high or (open_low and value == low):  # also refuses NaN
            self.note(path, f"must be {'more than' if open_low else 'at least'} {low} and at most {high}")
        else:
            return value
        return None

    def take_timeout(self, path: str, value: object) -> float | None:
        seconds = self.take_number(path, value, 0, MAX_TIMEOUT_SECONDS, open_low=True)
        return None if seconds is None else float(seconds)

    def take_choice(self, path: str, value: object, choices: type[StrEnum]) -> StrEnum | None:
        if isinstance(value, str) and value in set(choices):
            return choices(value)
        if isinstance(value, str):
            names = [str(choice) for choice in choices]
            self.note(path, f"{_shown(value)} is not one of {', '.join(names)}{_did_you_mean(value, names)}")
        else:
            self.note(path, f"must be text, not {_type_name(value)}")
        return None

    def take_list(self, path: str, value: object, take: Callable[[str, object], str | None]) -> tuple[str, ...] | None:
        if not isinstance(value, list | tuple):
            self.note(path, f"must be a list, not {_type_name(value)}")
            return None
        if len(value) > MAX_ENTRIES:
            self.note(path, f"has {len(value)} entries, the limit is {MAX_ENTRIES}")
            return None
        taken = [take(f"{path}[{index}]", entry) for index, entry in enumerate(value)]
        return tuple(entry for entry in taken if entry is not None)

    def take_mapping(self, path: str, value: object, limit: int = MAX_ENTRIES) -> Mapping[object, object]:
        if not isinstance(value, Mapping):
            self.note(path, f"must be a mapping, not {_type_name(value)}")
        elif len(value) > limit:
            self.note(path, f"has {len(value)} entries, the limit is {limit}")
        else:
            return value
        return {}

    def take_env(self, path: str, value: object) -> dict[str, str]:
        taken: dict[str, str] = {}
        for name, entry in self.take_mapping(path, value).items():
            if not isinstance(name, str) or not _ENV_NAME.match(name):
                self.note(path, f"{_shown(name)} is not a name for an environment variable")
            elif isinstance(entry, int) and not isinstance(entry, bool) and abs(entry) < 10**18:
                taken[name] = str(entry)
            elif isinstance(entry, bool | float):  # what text was meant is a guess: "True" or "true", "3.10" or "3.1"
                self.note(f"{path}.{name}", "must be text; put it in quotes")
            elif (text := self.take_text(f"{path}.{name}", entry, MAX_VALUE)) is not None:
                taken[name] = text
        return taken

    def take_retry(self, path: str, value: object) -> dict[str, dict[str, float]]:
        taken: dict[str, dict[str, float]] = {}
        for failure_type, fields in self.take_mapping(path, value).items():
            if not isinstance(failure_type, str) or failure_type not in _RETRY_TYPES:
                hint = _did_you_mean(failure_type, _RETRY_TYPES)
                self.note(path, f"{_shown(failure_type)} is not a failure type{hint}")
                continue
            at = f"{path}.{failure_type}"
            overrides = self.take_mapping(at, fields)
            self.refuse_unknown(at, overrides, _RETRY_LIMITS)
            numbers = {
                name: self.take_number(f"{at}.{name}", overrides[name], *limits)
                for name, limits in _RETRY_LIMITS.items()
                if name in overrides
            }
            if isinstance(numbers.get("max_retries"), float):
                self.note(f"{at}.max_retries", "must be a whole number")
            taken[failure_type] = {name: number for name, number in numbers.items() if number is not None}
        return taken

    def refuse_unknown(self, path: str, mapping: Mapping[Any, object], known: Collection[str]) -> None:
        for key in list(mapping)[:MAX_ENTRIES]:
            if key not in known:
                at = f"{path}.{key}" if isinstance(key, str) and len(key) <= MAX_NAME else f"{path}.{_shown(key)}"
                self.note(at.lstrip("."), f"unknown key{_did_you_mean(key, known)}")


# A step's fields: the schema's word, how it is checked, and the name StepSpec gives it.
_Taker = Callable[[_Problems, str, object], Any]
_STEP_FIELDS: dict[str, tuple[str, _Taker]] = {
    "name": ("name", _Problems.take_name),
    "kind": ("kind", lambda problems, path, value: problems.take_choice(path, value, StepKind)),
    "run": ("run", _Problems.take_command),
    "needs": ("needs", lambda problems, path, value: problems.take_list(path, value, problems.take_name)),
    "env": ("env", _Problems.take_env),
    "timeout": ("timeout_seconds", _Problems.take_timeout),
    "effects": ("effects", lambda problems, path, value: problems.take_choice(path, value, Effects)),
    "artifacts": (
        "artifacts",
        lambda problems, path, value: problems.take_list(path, value, problems.take_path),
    ),
    "probe": ("probe", _Problems.take_command),
    "rollback": ("rollback", _Problems.take_command),
    "cwd": ("cwd", _Problems.take_path),
    "network": ("network", _Problems.take_flag),
    "retry": ("retry", _Problems.take_retry),
}
# null stands for "as if it were not written".
_NULLABLE = ("needs", "probe", "rollback", "network")


def validate(data: object) -> tuple[str, list[dict[str, Any]]]:
    """The plan's name and the fields of each step, checked. Raises InvalidPlan with every problem found."""
    problems = _Problems()
    if not isinstance(data, Mapping):
        raise InvalidPlan((f"the plan must be a mapping with name and steps, not {_type_name(data)}",))
    problems.refuse_unknown("", data, _PLAN_FIELDS)
    name = problems.take_name("name", data["name"]) if "name" in data else DEFAULT_PLAN_NAME
    steps = _read_steps(problems, data.get("steps"))
    if not problems.lines:
        _check_cycles(problems, steps)
    if problems.lines:
        raise InvalidPlan(tuple(problems.lines))
    return name or DEFAULT_PLAN_NAME, steps


def _read_steps(problems: _Problems, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple):
        problems.note("steps", "missing" if value is None else f"must be a list, not {_type_name(value)}")
        return []
    if not 1 <= len(value) <= MAX_STEPS:
        problems.note("steps", f"has {len(value)} steps; a plan has 1 to {MAX_STEPS}")
        return []
    steps = [_read_step(problems, f"steps[{index}]", step) for index, step in enumerate(value)]
    _check_names(problems, steps)
    return steps


def _read_step(problems: _Problems, path: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        problems.note(path, f"must be a mapping with name and run, not {_type_name(value)}")
        return {}
    problems.refuse_unknown(path, value, _STEP_FIELDS)
    for required in ("name", "run"):
        if required not in value:
            problems.note(path, f"{required} is missing")
    taken: dict[str, Any] = {}
    for key, (field_name, take) in _STEP_FIELDS.items():
        if key in value and not (value[key] is None and key in _NULLABLE):
            checked = take(problems, f"{path}.{key}", value[key])
            if checked is not None:
                taken[field_name] = checked
    return taken


def _check_names(problems: _Problems, steps: list[dict[str, Any]]) -> None:
    positions: dict[str, int] = {}
    for index, step in enumerate(steps):
        name = step.get("name")
        if name in positions:
            problems.note(f"steps[{index}].name", f"{name!r} is already the name of steps[{positions[name]}]")
        elif name is not None:
            positions[name] = index
    for index, step in enumerate(steps):
        needs = step.get("needs", ())
        for number, need in enumerate(needs):
            path = f"steps[{index}].needs[{number}]"
            if need not in positions:
                problems.note(path, f"no step named {need!r}{_did_you_mean(need, positions)}")
            elif need in needs[:number]:
                problems.note(path, f"{need!r} is listed twice")


def _check_cycles(problems: _Problems, steps: list[dict[str, Any]]) -> None:
    names = [step["name"] for step in steps]
    needs = {step["name"]: step.get("needs", names[:index]) for index, step in enumerate(steps)}
    cleared: set[str] = set()
    for start in names:
        cycle = _find_cycle(start, needs, cleared)
        if cycle:
            problems.note(f"steps[{names.index(cycle[0])}].needs", f"a cycle: {' -> '.join(cycle)}")
            return


def _find_cycle(start: str, needs: Mapping[str, Iterable[str]], cleared: set[str]) -> list[str]:
    """The first cycle reachable from `start`, closed (a, b, a), or []. Steps free of one join `cleared`."""
    trail, branches = [start], [iter(needs[start])]
    while trail:
        need = next(branches[-1], None)
        if need is None:
            cleared.add(trail.pop())
            branches.pop()
        elif need in trail:
            return [*trail[trail.index(need) :], need]
        elif need not in cleared:
            trail.append(need)
            branches.append(iter(needs[need]))
    return []


def _did_you_mean(word: object, known: Iterable[str]) -> str:
    if not isinstance(word, str) or len(word) > MAX_NAME:  # difflib is quadratic
        return ""
    by_folded = {name.casefold(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f" (did you mean {by_folded[close[0]]!r}?)" if close else ""


def _shown(value: object) -> str:
    if not isinstance(value, str):
        return f"a {_type_name(value)}"
    return ascii(value) if len(value) <= 60 else f"{value[:60]!a}…"


def _type_name(value: object) -> str:
    names = {bool: "true or false", str: "text", int: "number", float: "number", type(None): "null"}
    if isinstance(value, Mapping):
        return "mapping"
    if isinstance(value, list | tuple):
        return "list"
    return names.get(type(value), type(value).__name__)

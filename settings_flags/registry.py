"""Every setting, declared once as a field of `SettingValues`, and what a value may be (pure)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from metabuilder.builds.errors import MetabuilderError

MAX_ENTRIES = 200  # of a list
MAX_ENTRY_LENGTH = 500
NO_PATHS = "none"  # an empty list as text; an empty text means that nothing was said


class Level(StrEnum):
    """Where a value comes from; later ones override earlier ones."""

    DEFAULT = "default"
    PLATFORM = "platform"
    TENANT = "tenant"
    RUN = "run"


class Kind(StrEnum):
    FLAG = "flag"
    COUNT = "count"
    NUMBER = "number"
    CHOICE = "choice"
    PATHS = "paths"


class UnknownSetting(MetabuilderError):
    """No such setting, or it cannot be set at this level. Nothing was changed."""

    code: ClassVar[str] = "unknown_setting"
    http_status: ClassVar[int] = 400

    def __init__(self, setting: str, level: Level) -> None:
        self.setting = setting
        super().__init__(f"{setting} is not a setting of a {level}")


class InvalidSettingValue(MetabuilderError):
    """The value is not of the setting's type. Nothing was changed."""

    code: ClassVar[str] = "invalid_setting_value"
    http_status: ClassVar[int] = 400

    def __init__(self, setting: str, value: object, expected: str) -> None:
        self.setting, self.value, self.expected = setting, value, expected
        super().__init__(f"{setting}: expected {expected}, not {shown(value)}")


class SettingOutOfRange(MetabuilderError):
    """The value is below the setting's minimum or beyond what this level may set. Nothing was changed."""

    code: ClassVar[str] = "setting_out_of_range"
    http_status: ClassVar[int] = 400

    def __init__(self, setting: str, value: object, limit: object, rule: str) -> None:
        self.setting, self.value, self.limit = setting, value, limit
        super().__init__(f"{setting}: {shown(value)} is not allowed; {rule}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What one setting is. Numbers, flags and choices loosen upwards (`choices` runs from tight to loose).

    Of paths, the ceiling names those that every value must hold. `governs`: a gate is bound to the value.
    """

    name: str = ""
    kind: Kind
    default: Any
    by_environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ceiling: Any
    minimum: float = 0
    choices: tuple[str, ...] = ()
    unit: str = ""
    title: str
    help: str
    governs: bool = False
    levels: tuple[Level, ...] = (Level.PLATFORM, Level.TENANT, Level.RUN)

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        return {
            Kind.FLAG: "true or false",
            Kind.COUNT: "a whole number",
            Kind.NUMBER: "a number",
            Kind.CHOICE: f"one of {', '.join(self.choices)}",
            Kind.PATHS: f"a list of at most {MAX_ENTRIES} path patterns",
        }[self.kind]

    def parse(self, raw: object) -> Any:
        """Return a value as it comes from JSON. Raises InvalidSettingValue or SettingOutOfRange."""
        value: Any = _PARSERS[self.kind](raw)
        if value is None or (self.kind is Kind.CHOICE and value not in self.choices):
            raise InvalidSettingValue(self.name, raw, self.expected)
        if self.kind in (Kind.COUNT, Kind.NUMBER) and value < self.minimum:
            raise SettingOutOfRange(self.name, value, self.minimum, f"the minimum is {self.show(self.minimum)}")
        return value

    def parse_text(self, text: str) -> Any:
        """Return a value as a person or an environment variable writes it. Raises as `parse` does."""
        text = text.strip()
        raw: object = text
        if self.kind is Kind.FLAG:
            raw = _FLAG_WORDS.get(text.lower(), text)
        elif self.kind in (Kind.COUNT, Kind.NUMBER):
            raw = _number_in(text)
        elif self.kind is Kind.PATHS:
            entries = [] if text == NO_PATHS else text.replace(",", "\n").splitlines()
            raw = [entry.strip() for entry in entries if entry.strip()]
        return self.parse(text if raw is None else raw)

    def exceeds(self, value: Any, limit: Any) -> bool:
        """Is `value` looser than `limit`?"""
        if self.kind is Kind.PATHS:
            return not set(limit) <= set(value)
        return bool(self._rank(value) > self._rank(limit))

    def clamp(self, value: Any, limit: Any) -> Any:
        """Return `value`, or what is nearest to it within `limit`."""
        if not self.exceeds(value, limit):
            return value
        if self.kind is Kind.PATHS:
            return (*value, *(path for path in limit if path not in value))
        return limit

    def looser(self, one: Any, other: Any) -> Any:
        """Return the looser of two limits."""
        if self.kind is Kind.PATHS:
            return tuple(path for path in one if path in other)
        return max(one, other, key=self._rank)

    def show(self, value: Any) -> str:
        """Return a value as people and environment variables write it."""
        if self.kind is Kind.FLAG:
            return "true" if value else "false"
        if self.kind is Kind.PATHS:
            return ", ".join(value) or NO_PATHS
        if self.kind is Kind.NUMBER:
            return repr(float(value)).removesuffix(".0")
        return str(value)

    def _rank(self, value: Any) -> Any:
        return self.choices.index(value) if self.kind is Kind.CHOICE else value


def shown(value: object) -> str:
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


_FLAG_WORDS = dict.fromkeys(("true", "1", "yes", "on"), True)
_FLAG_WORDS |= dict.fromkeys(("false", "0", "no", "off"), False)


def _number_in(text: str) -> object:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return None


def _flag(raw: object) -> bool | None:
    return raw if isinstance(raw, bool) else None


def _count(raw: object) -> int | None:
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > 2**31 - 1:  # an integer column
        return None
    return raw


def _number(raw: object) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or abs(raw) > 1e15 or math.isnan(raw):
        return None
    return float(raw)


def _choice(raw: object) -> str | None:
    return raw if isinstance(raw, str) else None


def _paths(raw: object) -> tuple[str, ...] | None:
    if not isinstance(raw, list | tuple) or len(raw) > MAX_ENTRIES:
        return None
    for entry in raw:
        if not isinstance(entry, str) or not entry.strip() or len(entry) > MAX_ENTRY_LENGTH:
            return None
        if not entry.isprintable():
            return None
    return tuple(dict.fromkeys(entry.strip() for entry in raw))


_PARSERS = {
    Kind.FLAG: _flag,
    Kind.COUNT: _count,
    Kind.NUMBER: _number,
    Kind.CHOICE: _choice,
    Kind.PATHS: _paths,
}


def _declare(kind: Kind, default: Any, **facts: Any) -> Any:
    setting = Setting(kind=kind, default=default, **facts)
    return dataclasses.field(default=default, metadata={"setting": setting})


@dataclass(frozen=True, kw_only=True)
class SettingValues:
    """One value of every setting. The defaults here are those of METABUILDER_ENV=development."""

    auto_fix_enabled: bool = _declare(
        Kind.FLAG,
        True,
        by_environment={"production": False},
        ceiling=True,
        title="Auto-fix",
        help="Whether a failing step is retried, fixed or escalated. Off: the run fails, as under v2.",
    )
    autonomy: str = _declare(
        Kind.CHOICE,
        "apply",
        choices=("propose", "apply"),
        ceiling="apply",
        governs=True,
        title="Autonomy",
        help="apply: fixes that prove themselves are committed to the run's branch. propose: every fix waits "
        "for approval; only retries happen on their own.",
    )
    max_total_attempts: int = _declare(
        Kind.COUNT,
        10,
        by_environment={"staging": 6, "production": 6},
        ceiling=20,
        title="Attempts per run",
        unit="attempts",
        help="How many retries, flake checks and fixes one iteration of a run may spend.",
    )
    max_per_step_attempts: int = _declare(
        Kind.COUNT,
        5,
        by_environment={"staging": 3, "production": 3},
        ceiling=10,
        title="Attempts per step",
        unit="attempts",
        help="The same, for one step. The last one is kept for a fix while one is left to try.",
    )
    backoff_cap_seconds: float = _declare(
        Kind.NUMBER,
        60.0,
        ceiling=300.0,
        title="Longest backoff",
        unit="seconds",
        help="No wait between our own retries is longer than this.",
    )
    retry_after_cap_seconds: float = _declare(
        Kind.NUMBER,
        900.0,
        ceiling=3600.0,
        title="Longest wait a server may ask for",
        unit="seconds",
        help="When a server asks for a longer wait (Retry-After), the run is not retried but escalated.",
    )
    max_trials_per_attempt: int = _declare(
        Kind.COUNT,
        8,
        minimum=1,
        ceiling=20,
        title="Trials per fix",
        unit="trials",
        help="How many variants of one fix may be tried before it counts as failed.",
    )
    max_fix_seconds: float = _declare(
        Kind.NUMBER,
        600.0,
        minimum=1,
        ceiling=7200.0,
        title="Time per fix",
        unit="seconds",
        help="How long one attempt may work on a fix, proofs included.",
    )
    run_deadline_seconds: float = _declare(
        Kind.NUMBER,
        6 * 3600.0,
        minimum=1,
        ceiling=7 * 24 * 3600.0,
        title="Deadline of a run",
        unit="seconds",
        help="Nothing more is tried when a run has been going for this long.",
    )
    delivery: str = _declare(
        Kind.CHOICE,
        "branch",
        choices=("none", "patch", "branch", "push"),
        ceiling="push",
        title="Delivery",
        help="What happens to proven fixes. branch: a branch to fetch from the run's checkpoint repository, the "
        "source stays untouched; push: that branch is also pushed to the source; patch: a patch file; none: nothing.",
    )
    guard_action: str = _declare(
        Kind.CHOICE,
        "gate",
        choices=("refuse", "gate"),
        ceiling="gate",
        governs=True,
        title="When a fix breaks a guard rule",
        help="gate: a person sees the diff and the rule, and decides. refuse: the fix is dropped.",
    )
    protected_paths: tuple[str, ...] = _declare(
        Kind.PATHS,
        (
            "CODEOWNERS",
            ".github/CODEOWNERS",
            ".github/workflows/**",
            ".gitlab-ci.yml",
            ".circleci/**",
            "Jenkinsfile",
        ),
        ceiling=(),
        governs=True,
        title="Protected paths",
        help="No fix touches a file that matches one of these patterns without approval.",
    )
    self_approval: bool = _declare(
        Kind.FLAG,
        False,
        ceiling=True,
        governs=True,
        levels=(Level.PLATFORM, Level.TENANT),
        title="Approving what one asked for",
        help="Whether the person who started a run may approve its gates.",
    )
    gate_expiry_hours: float = _declare(
        Kind.NUMBER,
        72.0,
        minimum=0.01,
        ceiling=30 * 24.0,
        title="Gates expire after",
        unit="hours",
        help="A gate that nobody has decided by then expires, and the run is rolled back.",
    )


SETTINGS: Mapping[str, Setting] = {
    field.name: dataclasses.replace(field.metadata["setting"], name=field.name)
    for field in dataclasses.fields(SettingValues)
}


def default_for(setting: Setting, environment: str) -> Any:
    """Return the default of a setting under METABUILDER_ENV=`environment`."""
    return setting.by_environment.get(environment, setting.default)

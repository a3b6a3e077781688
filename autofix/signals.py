"""The values of classification: the eleven failure types, a log line, the signal, and what a log may be read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class FailureType(StrEnum):
    """The eleven causes a person may have to deal with; docs/classification.md tells them apart."""

    TRANSIENT = "TRANSIENT"
    RATE_LIMIT = "RATE_LIMIT"
    INFRA = "INFRA"
    TEST_ASSERT = "TEST_ASSERT"
    LINT = "LINT"
    TYPECHECK = "TYPECHECK"
    SECURITY = "SECURITY"
    POLICY = "POLICY"
    RUNTIME = "RUNTIME"
    SCHEMA_MIGRATION = "SCHEMA_MIGRATION"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log that speaks for a type. `number` is 1-based; `rule` is the id of the rule that matched."""

    number: int
    text: str
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSignal:
    """What we believe went wrong, and the log lines that say so.

    `fingerprint` is equal for the same failure in any run: paths, numbers, hashes and times are removed.
    `details` has typed facts where the log states them; DETAIL_KEYS lists the names in use.
    """

    type: FailureType
    confidence: float  # 0..1; UNKNOWN has 0
    message: str  # one line, secrets already redacted
    evidence: tuple[LogLine, ...] = ()  # the deciding line first
    fingerprint: str = ""
    can_retry: bool = False  # a reason to try again stands in the step's own output, or the type grants one
    requires_replan: bool = False
    requires_approval: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[FailureType, ...] = ()


@runtime_checkable
class LogReader(Protocol):
    """A log too large to hold: its bytes in order, in pieces of any size."""

    def chunks(self) -> Iterator[bytes]: ...


# module: missing import name, dotted as the log has it; names: missing names of an import; binary: missing command
# (its last path segment); path: a file the message is about; packages: distributions or stub packages the tool itself
# names; retry_after: seconds a server asked to wait; retry_at: epoch seconds it named; http_status; tool: the tool that
# failed (ruff, mypy, pytest, django, …); codes: lint, type or advisory codes; locations: [{"path", "line"}]; tests:
# failed test ids; migrations: names or app labels; exit_signal: "SIGSEGV"; deterministic: True where a cause that a
# retry cannot mend was seen; exit_code: as the caller gave it, or as the log states it.
DETAIL_KEYS = (
    "module", "names", "binary", "path", "packages", "retry_after", "retry_at", "http_status", "tool", "codes",
    "locations", "tests", "migrations", "exit_signal", "deterministic", "exit_code",
)  # fmt: skip

"""What one row of a pattern table is, and how much a matching line counts."""

from __future__ import annotations

from dataclasses import dataclass

from autofix.signals import FailureType

# How strongly a line speaks. A cause stops everything behind it; a verdict is a tool's own last word; a finding is
# one item of a verdict; a crash is an exception nobody caught; a mention needs company; a hint never decides.
CAUSE = 96
STARTUP = 91  # tests or program could not start: outranks the verdict that follows from it
VERDICT = 87
FINDING = 79
CRASH = 68
MENTION = 52
HINT = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """One line format of one tool.

    `pattern` is RE2 syntax, multi-line (`^` and `$` are line ends), matched on a normalised line: no colours, no
    timestamps, no CI prefixes. Named groups fill `FailureSignal.details`: module, names, binary, path, package,
    wait + unit, at, status, code, file + line, test, migration, signal, tool.
    """

    id: str
    tool: str
    type: FailureType
    weight: int
    pattern: str
    sample: str  # a line in the tool's own format that the pattern matches; tested
    retryable: bool = False  # the line itself is a reason to try again
    deterministic: bool | None = None  # None: as is usual for the type
    replan: bool = False  # the plan lacks a step, resource or order
    needs_tool: str = ""  # RE2: counts fully only where the step or its command matches this
    summary: bool = False  # counts what other lines say: one of those lines speaks instead, where there is one
    typed_by_tool: bool = False  # the type is that of the tool named by the `tool` group

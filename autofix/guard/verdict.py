"""The words of the guard: findings, verdicts, limits, and a change with its texts decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from metabuilder.builds.changes import FileChange


class Action(StrEnum):
    """What a finding asks for: a person's decision, or no application at all, whoever approves."""

    ALLOW = "allow"
    GATE = "gate"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that a patch breaks. `line` is 1-based in the new file; 0 speaks of the file as a whole."""

    rule: str
    path: str
    line: int
    message: str
    action: Action = Action.GATE


@dataclass(frozen=True, slots=True)
class Verdict:
    """`action` is the strictest that any finding asks for."""

    findings: tuple[Finding, ...] = ()

    @property
    def action(self) -> Action:
        actions = {finding.action for finding in self.findings}
        return next((action for action in (Action.REFUSE, Action.GATE) if action in actions), Action.ALLOW)

    @property
    def allowed(self) -> bool:
        return self.action is Action.ALLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """The size budget of one patch. Lock files count as files, their lines do not count."""

    max_files: int = 50
    max_changed_lines: int = 1_500
    max_file_bytes: int = 1_000_000


@dataclass(frozen=True)
class ChangedText:
    """One change with both sides decoded; a side that is absent is the empty text."""

    change: FileChange

    @property
    def path(self) -> str:
        return self.change.path

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def suffix(self) -> str:
        return "." + self.name.rsplit(".", 1)[-1].lower() if "." in self.name[1:] else ""

    @property
    def is_new(self) -> bool:
        return self.change.old is None

    @property
    def is_deleted(self) -> bool:
        return self.change.new is None

    @cached_property
    def old(self) -> str:
        return _decode(self.change.old)

    @cached_property
    def new(self) -> str:
        return _decode(self.change.new)

    @cached_property
    def added_lines(self) -> list[tuple[int, str]]:
        """Numbered lines of the new text that the old text has nowhere (spaces at the ends aside)."""
        known = {line.strip() for line in self.old.splitlines()}
        numbered = enumerate(self.new.splitlines(), start=1)
        return [(number, line) for number, line in numbered if line.strip() and line.strip() not in known]

    def finding(self, rule: str, message: str, *, line: int = 0, action: Action = Action.GATE) -> Finding:
        return Finding(rule, self.path, line, message, action)


def _decode(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace").removeprefix("\ufeff")


Rule = Callable[[ChangedText], Iterable[Finding]]

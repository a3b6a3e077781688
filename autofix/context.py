"""Which command a line belongs to, and whether that command failed: read from the marks that shells and CI runners leave.

A log is cut into sections. A section that ended with exit code 0, or that ran after the failure, decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autofix.matching import Hit
from autofix.patterns.rule import Rule
from autofix.signals import FailureType


def _mark(name: str, pattern: str, sample: str) -> Rule:
    return Rule(f"mark.{name}", "ci", FailureType.UNKNOWN, 0, pattern, sample)


# One marker is one row.
# ruff: noqa: E501
# fmt: off
MARKERS = (
    _mark("command", r"^\$ (?P<command>\S.{0,400})", "$ pytest -q"),
    _mark("command", r"^##\[group\]Run (?P<command>.{1,400})", "##[group]Run npm test"),
    _mark("command", r"^##\[section\]Starting: (?P<command>.{1,200})", "##[section]Starting: Build solution"),
    _mark("trace", r"^\++ (?P<command>[\w./-].{0,400})", "+ pytest -q"),
    _mark("trace", r"^> (?P<command>[a-z][\w.-]*(?: [^|>]{1,300})?)$", "> eslint src"),
    _mark(
        "trace", r"^\$ (?P<command>/\S+/node_modules/\.bin/.{0,300})$", "$ /app/node_modules/.bin/eslint ."
    ),
    _mark("endgroup", r"^##\[endgroup\]", "##[endgroup]"),
    _mark("shell", r"^shell: \S+(?:bash|sh|pwsh|powershell|cmd)\b", "shell: /usr/bin/bash -e {0}"),
    _mark(
        "exit",
        r'^The command "(?P<command>.{0,600}?)" (?:failed and )?exited with (?P<code>\d+)',
        'The command "tox" exited with 1.',
    ),
    _mark(
        "exit",
        r"^(?:Error: )?Process completed with exit code (?P<code>\d+)\.?",
        "Process completed with exit code 1.",
    ),
    _mark("exit", r"^Bash exited with code '(?P<code>\d+)'", "Bash exited with code '1'."),
    _mark(
        "exit", r"^(?:ERROR: )?script returned exit code (?P<code>\d+)", "ERROR: script returned exit code 2"
    ),
    _mark(
        "exit",
        r"^ERROR: Job failed: (?:command terminated with exit code|exit code|exit status) (?P<code>\d+)",
        "ERROR: Job failed: exit code 1",
    ),
    _mark("exit", r"^Exited with code (?:exit status )?(?P<code>\d+)", "Exited with code exit status 1"),
    _mark(
        "exit",
        r"^🚨 Error: The command exited with status (?P<code>\d+)",
        "🚨 Error: The command exited with status 1",
    ),
    _mark("aftermath", r"^Post job cleanup\.", "Post job cleanup."),
    _mark("aftermath", r"^Cleaning up orphan processes", "Cleaning up orphan processes"),
    _mark(
        "aftermath",
        r"^Build step '.{1,80}' marked build as failure",
        "Build step 'Execute shell' marked build as failure",
    ),
    _mark("aftermath", r"^Running after_script", "Running after_script"),
    _mark(
        "aftermath",
        r"^Cleaning up project directory and file based variables",
        "Cleaning up project directory and file based variables",
    ),
    _mark("aftermath", r"^Uploading artifacts for failed job", "Uploading artifacts for failed job"),
    _mark("aftermath", r"^Running global post-command hook", "Running global post-command hook"),
    _mark(
        "timeout",
        r"^\[metabuilder\] step timed out after (?P<wait>\d+)",
        "[metabuilder] step timed out after 900 s",
    ),
    _mark(
        "timeout",
        r"^No output has been received in the last",
        "No output has been received in the last 10m0s, this",
    ),
    _mark(
        "timeout",
        r"^(?:The job exceeded|\[taskcluster:error\] Task aborted - max run time|Task aborted - max run time)",
        "The job exceeded the maximum time limit for jobs, and has been terminated.",
    ),
    _mark(
        "timeout",
        r"has exceeded the maximum execution time of",
        "The job running on runner x has exceeded the maximum execution time of 360 minutes.",
    ),
    _mark(
        "timeout",
        r"^(?:Error: )?The (?:operation|job|action|run) was cancell?ed",
        "The operation was canceled.",
    ),
    _mark(
        "timeout",
        r"^(?:ERROR: )?Job failed: execution took longer than",
        "ERROR: Job failed: execution took longer than 1h0m0s seconds",
    ),
    _mark(
        "timeout",
        r"^Build timed out \(after \d+ minutes\)",
        "Build timed out (after 30 minutes). Marking the build as aborted.",
    ),
)
# fmt: on


@dataclass(slots=True)
class Section:
    """Lines `start` to `end` of a log, the output of one command as far as the log tells."""

    start: int
    end: int
    command: str = ""
    exit_code: int | None = None
    closing: bool = False  # ran after the failure: clean-up, uploads, after_failure


@dataclass(slots=True)
class Context:
    """The sections of a log in order, the echoed script text in it, and what the step itself is."""

    sections: list[Section]
    echoes: list[tuple[int, int]] = field(default_factory=list)
    endings: set[int] = field(default_factory=set)  # lines that only say that a command ended
    commands: list[tuple[int, str]] = field(default_factory=list)
    timed_out: Hit | None = None
    about: str = ""  # step name, kind and command, lower case

    def section_at(self, number: int) -> Section:
        low, high = 0, len(self.sections) - 1
        while low < high:
            middle = (low + high) // 2
            if self.sections[middle].end < number:
                low = middle + 1
            else:
                high = middle
        return self.sections[low]

    def is_echo(self, number: int) -> bool:
        return number in self.endings or any(start <= number <= end for start, end in self.echoes)

    def command_at(self, number: int) -> str:
        """The commands known to be running at a line: the section's and the last one traced before it."""
        section = self.section_at(number)
        traced = [text for line, text in self.commands if section.start <= line <= number]
        return f"{section.command} {traced[-1] if traced else ''}".strip()

    @property
    def failed(self) -> list[Section]:
        return [section for section in self.sections if section.exit_code and not section.closing]


def read_context(marks: Iterable[Hit], closing: Sequence[tuple[int, bool]], total: int, *, about: str) -> Context:
    """Cut a log of `total` lines into sections. `closing` holds (line, begins) of folds that run after the build."""
    context = Context([], about=about.lower())
    reader = _Reader(context)
    events: list[tuple[int, int, Hit | bool]] = [(line, 0, begins) for line, begins in closing]
    events += [(mark.number, 1, mark) for mark in marks]
    for line, _, event in sorted(events, key=lambda event: event[:2]):
        if isinstance(event, bool):
            reader.cut(line, "", closing=event)
        else:
            reader.read(event)
    reader.current.end = max(total, reader.current.start)
    context.sections.append(reader.current)
    return context


class _Reader:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.current = Section(1, 1)
        self.group: int | None = None
        self.shell_seen = False

    def cut(self, line: int, command: str, *, closing: bool = False) -> None:
        """Begin a section at `line`."""
        if line > self.current.start:
            self.current.end = line - 1
            self.context.sections.append(self.current)
        self.current = Section(line, line, command, closing=closing)

    def read(self, mark: Hit) -> None:
        name, line = mark.rule.id.removeprefix("mark."), mark.number
        command = mark.groups.get("command", "")
        if name == "command":
            self.cut(line, command, closing=self.current.closing and not mark.text.startswith("##"))
            self.context.commands.append((line, command))
            self.group = line if mark.text.startswith("##[group]") else None
        elif name == "trace":
            self.context.commands.append((line, command))
        elif name == "shell":
            self.shell_seen = True
        elif name == "endgroup":
            self._end_group(line)
        elif name == "exit":
            self.context.endings.add(line)
            self.current.exit_code, self.current.end = int(mark.groups["code"][:3]), line
            self.current.command = self.current.command or command
            self.cut(line + 1, "", closing=self.current.closing)
        elif name == "aftermath":
            self.cut(line, "", closing=True)
        elif name == "timeout":
            self.context.timed_out = mark

    def _end_group(self, line: int) -> None:
        if self.group is not None:
            self.context.echoes.append((self.group, line))
        elif self.shell_seen and not self.context.echoes:  # the log starts inside the echo of a script
            self.context.echoes.append((self.current.start, line))
        self.group = None

"""Linters and formatters that can mend what they find: the table, and the fixer that works it off.

The project's own binary runs with the project's own configuration, called as the failing step calls it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autofix.decision import Candidate, Strategy
from autofix.failures import FailureSignal, FailureType
from autofix.fixers import project
from autofix.fixers.base import Bench, CannotFix, Failure, Fixer, Proposal, Trials
from autofix.fixers.shell import Invocation, find_tool, invocations, parse
from autofix.fixers.tables import words

_TIMEOUT_SECONDS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way to call a tool that only looks, and how the same call mends.

    `drop` are flags that make it only look, `add` those that make it write; `sub` is the subcommand, which
    `mends` replaces where it differs. `finds` matches the tool's own words for its findings.
    """

    fixer: str
    binary: str
    finds: str
    sub: str = ""
    mends: str = ""
    drop: str = ""
    add: str = ""
    formatting: bool = True


_EXACT_DIFF = r"^(?:diff |--- |\+\+\+ )"
MODES: tuple[Mode, ...] = (
    Mode(fixer="python.ruff", binary="ruff", sub="check", add="--fix", formatting=False,
         drop="--diff --no-fix --unsafe-fixes --add-noqa --show-fixes --watch -w --exit-non-zero-on-fix",
         finds=r"^Found \d+ errors?\b|\[\*\]|(?:^|\s)[A-Z]{1,4}\d{3,4}\b"),
    Mode(fixer="python.ruff", binary="ruff", sub="format", drop="--check --diff",
         finds=r"Would reformat:|would be reformatted|" + _EXACT_DIFF),
    Mode(fixer="python.black", binary="black", drop="--check --diff --color --no-color",
         finds=r"would reformat|would be reformatted|" + _EXACT_DIFF),
    Mode(fixer="python.isort", binary="isort", drop="--check --check-only -c --diff --df",
         finds=r"Imports are incorrectly sorted|" + _EXACT_DIFF),
    Mode(fixer="python.autoflake", binary="autoflake", drop="--check -c --check-diff -cd --stdout -s",
         add="--in-place", formatting=False, finds=r"Unused imports/variables detected|" + _EXACT_DIFF),
    Mode(fixer="python.yapf", binary="yapf", drop="--diff -d --quiet -q", add="--in-place",
         finds=r"^reformatted |" + _EXACT_DIFF),
    Mode(fixer="python.autopep8", binary="autopep8", drop="--diff -d --exit-code", add="--in-place",
         finds=_EXACT_DIFF),
    Mode(fixer="python.docformatter", binary="docformatter", drop="--check -c --diff -d", add="--in-place",
         finds=r"\.py$|" + _EXACT_DIFF),
    Mode(fixer="python.pyupgrade", binary="pyupgrade", finds=r"^Rewriting ", formatting=False),
    Mode(fixer="python.djlint", binary="djlint", drop="--check --lint", add="--reformat",
         finds=r"files? would be updated"),
    Mode(fixer="node.prettier", binary="prettier", drop="--check -c --list-different -l", add="--write",
         finds=r"Code style issues|\[warn\]|(?:^[\w./-]+\.(?:[jt]sx?|css|scss|json|md|ya?ml|html|vue)$)"),
    Mode(fixer="node.eslint", binary="eslint", drop="--no-fix --fix-dry-run", add="--fix", formatting=False,
         finds=r"✖ \d+ problems?|(?:^\s+\d+:\d+\s+(?:error|warning)\s)"),
    Mode(fixer="node.stylelint", binary="stylelint", add="--fix", formatting=False,
         finds=r"✖|\d+ problems?"),
    Mode(fixer="node.standard", binary="standard", add="--fix", formatting=False, finds=r"standard:"),
    Mode(fixer="node.biome", binary="biome", sub="check", add="--write", formatting=False,
         finds=r"Found \d+ errors?|FIXABLE"),
    Mode(fixer="node.biome", binary="biome", sub="ci", mends="check", add="--write", formatting=False,
         finds=r"Found \d+ errors?|FIXABLE"),
    Mode(fixer="node.biome", binary="biome", sub="lint", add="--write", formatting=False,
         finds=r"Found \d+ errors?|FIXABLE"),
    Mode(fixer="node.biome", binary="biome", sub="format", add="--write", finds=r"Formatter would have|Found \d+"),
    Mode(fixer="node.markdownlint", binary="markdownlint", add="--fix", formatting=False, finds=r"\bMD\d{3}\b"),
    Mode(fixer="node.dprint", binary="dprint", sub="check", mends="fmt", finds=r"not formatted|from "),
    Mode(fixer="go.gofmt", binary="gofmt", drop="-l -d", add="-w", finds=r"\.go$|" + _EXACT_DIFF),
    Mode(fixer="go.gofmt", binary="gofumpt", drop="-l -d", add="-w", finds=r"\.go$|" + _EXACT_DIFF),
    Mode(fixer="go.gofmt", binary="goimports", drop="-l -d", add="-w", finds=r"\.go$|" + _EXACT_DIFF),
    Mode(fixer="rust.fmt", binary="cargo", sub="fmt", drop="--check", finds=r"^Diff in "),
    Mode(fixer="rust.fmt", binary="rustfmt", drop="--check", finds=r"^Diff in "),
    Mode(fixer="shell.shfmt", binary="shfmt", drop="-d --diff -l --list", add="-w",
         finds=r"\.(?:sh|bash)$|" + _EXACT_DIFF),
    Mode(fixer="terraform.fmt", binary="terraform", sub="fmt", drop="-check -diff -check=true -write=false",
         finds=r"\.tf(?:vars)?$"),
    Mode(fixer="ruby.rubocop", binary="rubocop", drop="--parallel -P", add="--autocorrect", formatting=False,
         finds=r"offenses? detected"),
    Mode(fixer="c.clang_format", binary="clang-format", drop="--dry-run -n --Werror -Werror", add="-i",
         finds=r"-Wclang-format-violations"),
    Mode(fixer="toml.taplo", binary="taplo", sub="fmt", drop="--check --diff", finds=r"not properly formatted"),
)  # fmt: skip
_RUFF_COMMANDS = words("analyze clean config generate-shell-completion help linter lsp rule server version")
BINARIES = frozenset(mode.binary for mode in MODES)


def mode_of(call: Invocation) -> Mode | None:
    """The table row for a call; `ruff src`, as ruff was called before it had subcommands, counts as a check."""
    rows = [mode for mode in MODES if call.command.words[call.index].value.rsplit("/", 1)[-1] == mode.binary]
    plain = next((word.value for word in call.arguments if not word.value.startswith("-")), "")
    for mode in rows:
        if not mode.sub or mode.sub == plain:
            return mode
    old_style = bool(rows) and rows[0].binary == "ruff" and plain not in _RUFF_COMMANDS
    return rows[0] if old_style else None


def mending_command(call: Invocation, mode: Mode) -> str:
    """The call turned from looking to mending: same binary, same targets, same other options."""
    dropped = set(mode.drop.split())
    kept = [word for word in call.arguments if word.value not in dropped and word.value.split("=")[0] not in dropped]
    raws = [word.raw for word in kept]
    if mode.binary == "cargo" and raws[-1:] == ["--"]:
        raws.pop()
    at = next((index + 1 for index, word in enumerate(kept) if word.value == mode.sub), 0) if mode.sub else 0
    if at and mode.mends:
        raws[at - 1] = mode.mends
    new = [flag for flag in mode.add.split() if flag not in {word.value for word in kept}]
    return call.with_arguments([*raws[:at], *new, *raws[at:]])


def calls_of(root: Path, run: str, cwd: str) -> Iterator[tuple[Mode, str]]:
    """Every table tool that the step comes to run, in order, with the command that mends what it finds."""
    seen = set()
    for text in project.expand(root, run, cwd):
        for call in invocations(text, BINARIES.__contains__):
            mode = mode_of(call)
            command = mending_command(call, mode) if mode else ""
            if mode and command not in seen:
                seen.add(command)
                yield mode, command


class StyleToolFixer:
    """Let one tool mend what it found; other table tools of the same step follow, as they would fail next."""

    def __init__(self, name: str) -> None:
        self.name = name

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        silent = failure.signal.type is FailureType.UNKNOWN and not failure.log.strip()  # as with black --quiet
        if failure.signal.type is not FailureType.LINT and not silent:
            return ()
        modes = [mode for mode, _ in calls_of(failure.root, failure.step.run, failure.step.cwd)]
        own = [mode for mode in modes if mode.fixer == self.name]
        if not own or not any(_is_its_finding(mode, modes, failure.signal, failure.log) for mode in own):
            return ()
        binary, formatting = own[0].binary, all(mode.formatting for mode in modes)
        verb = "format" if formatting else "fix"
        return [
            Candidate(
                key=f"{self.name}:{failure.step.name}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title=f"Let {binary} {verb} what it found",
                risk=0 if formatting else 1,
                details={"tool": binary},
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        before, calls = (
            project.stamps(bench.root),
            list(calls_of(bench.root, failure.step.run, failure.step.cwd)),
        )
        output = ""
        for _, command in calls:
            bench.progress(command)
            output = bench.run(command, cwd=failure.step.cwd, timeout=_TIMEOUT_SECONDS).output or output
        if project.stamps(bench.root) == before:
            raise CannotFix(f"the tool mends none of its findings by itself: {_last_line(output)}")
        tools = ", ".join(dict.fromkeys(mode.binary for mode, _ in calls))
        formatting = all(mode.formatting for mode, _ in calls)
        yield Proposal(summary=f"Apply the fixes of {tools}", formatting=formatting)


def _is_its_finding(mode: Mode, modes: Sequence[Mode], signal: FailureSignal, log: str) -> bool:
    tool = signal.details.get("tool")
    if isinstance(tool, str) and tool.split()[:1] and any(tool.split()[0] == other.binary for other in modes):
        return tool.split()[0] == mode.binary
    return bool(re.search(mode.finds, log, re.M)) or len({other.binary for other in modes}) == 1


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


class PreCommitFixer:
    """pre-commit's hooks mend files while they run and fail for having done so: run them, keep what they changed."""

    name = "precommit"

    def candidates(self, failure: Failure) -> Sequence[Candidate]:
        if failure.signal.type is not FailureType.LINT or "files were modified by this hook" not in failure.log:
            return ()
        if not any(find_tool(command, "pre-commit".__eq__) for command in parse(failure.step.run)):
            return ()
        return [
            Candidate(
                key=f"{self.name}:{failure.step.name}",
                fixer=self.name,
                strategy=Strategy.PATCH,
                title="Keep what the pre-commit hooks changed",
                risk=1,
            )
        ]

    def trials(self, candidate: Candidate, failure: Failure, bench: Bench) -> Trials:
        before = project.stamps(bench.root)
        bench.run(failure.step.run, cwd=failure.step.cwd, timeout=_TIMEOUT_SECONDS)
        if project.stamps(bench.root) == before:
            raise CannotFix("the hooks changed nothing this time")
        yield Proposal(summary="Apply the fixes of the pre-commit hooks")


STYLE_FIXERS: tuple[Fixer, ...] = (
    *(StyleToolFixer(name) for name in dict.fromkeys(mode.fixer for mode in MODES)),
    PreCommitFixer(),
)

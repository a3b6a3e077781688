"""Choosing the cause among the lines that matched. docs/classification.md tells the reasoning; numbers are here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import re2

from autofix.context import Context, Section
from autofix.matching import Hit
from autofix.patterns.rule import CAUSE, CRASH, FINDING, MENTION, VERDICT, Rule
from autofix.patterns.tools import type_of_tool
from autofix.signals import FailureType

T = FailureType
ENOUGH = 40.0  # below this no line decides, and the log is UNKNOWN
OTHER_CAUSE = 62.0  # a further cause of another type is worth naming

# The kinds of step that make a type somewhat more likely; never enough to decide.
_KIND_PRIOR = {
    "lint": (T.LINT,), "typecheck": (T.TYPECHECK,), "test": (T.TEST_ASSERT,), "migrate": (T.SCHEMA_MIGRATION,),
    "security": (T.SECURITY,), "policy": (T.POLICY,), "build": (T.TYPECHECK, T.RUNTIME), "codegen": (T.RUNTIME,),
    "install": (T.RUNTIME, T.TRANSIENT, T.INFRA), "setup": (T.INFRA, T.TRANSIENT), "deploy": (T.INFRA, T.POLICY),
}  # fmt: skip
_IN_THE_CODE = (T.LINT, T.TYPECHECK, T.TEST_ASSERT, T.SCHEMA_MIGRATION)
_FINDERS = (T.LINT, T.TYPECHECK, T.SECURITY, T.POLICY)  # types whose tools print `file:line: message`
_LISTED = (T.LINT, T.TYPECHECK, T.TEST_ASSERT, T.SECURITY)  # findings come as lists
_PRIOR, _TOOL_RUNNING, _FAILED_SECTION = 2.0, 3.0, 8.0
_PASSED_SECTION, _CLOSING_SECTION, _LATER_SECTION = -45.0, -80.0, -10.0
_WARNED, _PASSED_TEST, _CODE_FRAME, _IN_ASSERTION = -34.0, -60.0, -30.0, -30.0
_ONLY_AN_EXCEPTION = 20.0
_COPED_WITH = -20.0
_FARTHEST = 22.0

_WARNING = re2.compile(
    r"(?i)^\W*(?:npm |yarn |pnpm )?(?:warn(?:ing)?\b|w:|note\b|notice\b|hint:|debug\b"
    r"|debconf:|.{0,40}console\.warn\b|deprecat|\w+Warning:)"
    r"|^(?:\[\w+\] )?\[?(?:WARN|WARNING|INFO|DEBUG)\b|\bDeprecationWarning\b|\bWARN(?:ING)? "
)
_HISTORY = re2.compile(
    r"(?i)\bpull request #\d+|^HEAD is now at|^\s*(?:commit [0-9a-f]{7}|author: |merged? (?:branch|pull|remote))"
)
_COPED = re2.compile(
    r"(?i)(?:attempting (?:to )?download|[-;,] (?:now )?installing"
    r"|will (?:be (?:installed|retried|ignored)|retry|try again)"
    r"|\bretrying\b|falling back|\b(?:skipping|ignoring|ignored)\b"
    r"|attempt \d+ of \d+|tries remaining|non-?fatal|continuing)"
)
_PASSED = re2.compile(
    r"(?:\.\.\. ?(?:ok|skipped|passed)\b|^\s*(?:✓|✔|√|ok \d+ |PASS |--- PASS|\[ +OK \])|\bPASSED\b|: (?:PASS|OK)$)"
)
_FRAME = re2.compile(
    r"^\s*(?:>?\s*\d+\s*[|│]|[|│]\s|\+?\s{8,}(?:raise|throw|if|return|assert|except|catch)\b|(?:echo|printf)\s|#\s)"
)
_NAMES_A_TEST = re2.compile(
    r"^(?:FAILED|ERROR|PASSED) \S+::|^\s*--- FAIL: "
    r"|^\s*(?:●|✕|✗|×|✘) |^(?:FAIL|ERROR): test|^test \S+ \.\.\. |^\s*\d+\) "
    r"|^_{3,} .{1,200} _{3,}$|^(?:Executed|Running|Testing|RUN) |^=== RUN"
    r"|^\s*(?:it|describe|test|should) |<<< (?:FAILURE|ERROR)!| FAILED$"
)
_ASSERTED = re2.compile(
    r"(?i)\bassert(?:ion)?(?:error|failed)?\b"
    r"|^E\s+\+|^\s*(?:E\s+assert|Expected|Received|expected:|actual:)|\bto (?:equal|be)\b"
)


@dataclass(frozen=True, slots=True)
class Scored:
    """A hit with the type it speaks for and how strongly."""

    hit: Hit
    type: FailureType
    score: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement: `deciding` is None where no line decides. `ranked` holds the best hit of each type, best first."""

    deciding: Scored | None
    ranked: tuple[Scored, ...] = ()
    scored: tuple[Scored, ...] = ()


def judge(hits: Sequence[Hit], context: Context, *, kind: str | None, exit_code: int | None) -> Verdict:
    """Weigh every hit by what it says, where it stands and which command printed it; choose the strongest."""
    failed = context.failed
    scored = [entry for hit in hits if (entry := _score(hit, context, failed, kind, exit_code))]
    scored = _without_echoes_of_themselves(scored)
    scored.sort(key=lambda entry: (-entry.score, -entry.hit.number))
    best: dict[FailureType, Scored] = {}
    for entry in scored:
        best.setdefault(entry.type, entry)
    ranked = sorted(best.values(), key=lambda entry: -entry.score)
    if not ranked or ranked[0].score < _needed(context, ranked[0]):
        return Verdict(None, tuple(ranked), tuple(scored))
    ranked = _fixable_first(ranked)
    return Verdict(ranked[0], tuple(ranked), tuple(scored))


def _fixable_first(ranked: list[Scored]) -> list[Scored]:
    """Of a passing trouble and a finding in the code that speak alike, the finding: waiting would not mend it."""
    top = ranked[0]
    if top.type not in (T.TRANSIENT, T.RATE_LIMIT):
        return ranked
    near = [e for e in ranked if e.type in _IN_THE_CODE and e.hit.rule.weight >= FINDING and e.score > top.score - 6]
    return [*near[:1], *(entry for entry in ranked if entry not in near[:1])]


def _without_echoes_of_themselves(scored: list[Scored]) -> list[Scored]:
    """Weaken "an exception" on a line where another rule says what the exception is about."""
    named = {entry.hit.number for entry in scored if entry.type is not T.RUNTIME and entry.score >= MENTION - 6}
    return [
        replace(entry, score=entry.score - _ONLY_AN_EXCEPTION)
        if entry.type is T.RUNTIME and entry.hit.rule.weight <= CRASH and entry.hit.number in named
        else entry
        for entry in scored
    ]


def _needed(context: Context, top: Scored) -> float:
    """A step that was cut off by the clock is UNKNOWN unless something waited for, or a whole verdict, stands there."""
    if context.timed_out is None or top.type in (T.TRANSIENT, T.RATE_LIMIT, T.INFRA):
        return ENOUGH
    return VERDICT - 8


def _score(hit: Hit, context: Context, failed: list[Section], kind: str | None, exit_code: int | None) -> Scored | None:
    if context.is_echo(hit.number):
        return None
    rule = hit.rule
    section = context.section_at(hit.number)
    about = f"{context.about} {context.command_at(hit.number)}".lower()
    type_ = type_of_tool(hit.groups.get("tool") or about) if rule.typed_by_tool else rule.type
    if type_ is None or (rule.typed_by_tool and type_ not in _FINDERS):
        return None
    score = float(rule.weight)
    if rule.needs_tool and not re2.search(f"(?i){rule.needs_tool}", about):
        score = min(score, ENOUGH - 10)
    score += _by_section(section, failed) - _distance(hit.number, section, context)
    score += _by_wording(hit, rule, type_)
    if kind and type_ in _KIND_PRIOR.get(kind, ()):
        score += _PRIOR
    if rule.tool and len(rule.tool) > 2 and rule.tool.lower() in about:
        score += _TOOL_RUNNING
    if exit_code == 127 and "binary" in hit.groups and type_ is T.INFRA:
        score += _TOOL_RUNNING
    return Scored(hit, type_, score)


def _by_section(section: Section, failed: list[Section]) -> float:
    if section.closing:
        return _CLOSING_SECTION
    if section.exit_code == 0:
        return _PASSED_SECTION
    if not failed:
        return 0.0
    if section.exit_code:
        return _FAILED_SECTION if section is failed[0] else _FAILED_SECTION / 2
    return _LATER_SECTION if section.start > failed[0].end else 0.0


def _distance(number: int, section: Section, context: Context) -> float:
    """The farther above the end of what ran, the less a line decides: it stands in the last 3% at the median."""
    end = section.end if section.exit_code else _end_of_work(context)
    span = max(300.0, 0.4 * (end - (section.start if section.exit_code else 1)))
    return min(_FARTHEST, _FARTHEST * max(0, end - number) / span)


def _end_of_work(context: Context) -> int:
    return max((section.end for section in context.sections if not section.closing), default=1)


def _by_wording(hit: Hit, rule: Rule, type_: FailureType) -> float:
    text = hit.text[:400]
    change = 0.0
    if rule.weight < CAUSE + 2 and _WARNING.search(text) and not _WARNING.search(rule.sample):
        change += _WARNED
    if _HISTORY.search(text):
        change += _WARNED
    if rule.weight < CAUSE and _COPED.search(text) and not _COPED.search(rule.sample):
        change += _COPED_WITH
    if _PASSED.search(text) and not _PASSED.search(rule.sample):
        change += _PASSED_TEST
    if type_ is not T.TEST_ASSERT and rule.weight < CAUSE:
        if _FRAME.search(text) and not _FRAME.search(rule.sample):
            change += _CODE_FRAME
        if _NAMES_A_TEST.search(text) and not _NAMES_A_TEST.search(rule.sample):
            change += _IN_ASSERTION
        if _ASSERTED.search(text) and not _ASSERTED.search(rule.sample):
            change += _IN_ASSERTION
    return change


def speaker(deciding: Scored, alike: Sequence[Scored]) -> Scored:
    """The line to show: not a count where the counted lines stand, and of many findings the first."""
    if deciding.hit.rule.summary:
        spoken = [e for e in alike if not e.hit.rule.summary and e.hit.rule.weight >= CRASH and e.score > 0]
        if not spoken:
            return deciding
        heaviest = max(e.hit.rule.weight for e in spoken)
        deciding = next(e for e in spoken if e.hit.rule.weight == heaviest)
    if deciding.type in _LISTED:
        first = next(e for e in alike if e.hit.rule is deciding.hit.rule)
        return first if first.score > deciding.score - _FARTHEST else deciding
    return deciding


def confidence(verdict: Verdict) -> float:
    """0..1: how plainly the deciding line speaks, less where a line of another type speaks almost as plainly."""
    deciding = verdict.deciding
    if deciding is None:
        return 0.0
    weight = deciding.hit.rule.weight
    plain = 0.97 if weight >= CAUSE else 0.93 if weight >= VERDICT else 0.87 if weight >= FINDING else 0.75
    if weight < CRASH:
        plain = 0.6 if weight >= MENTION else 0.45
    rivals = [entry.score for entry in verdict.ranked if entry.type is not deciding.type]
    if rivals and (margin := deciding.score - max(rivals)) < 10:
        plain -= 0.02 * (10 - max(0.0, margin))
    if deciding.score < weight - 15:
        plain -= 0.1
    return round(max(0.3, min(0.99, plain)), 2)


def other_causes(verdict: Verdict) -> tuple[FailureType, ...]:
    if verdict.deciding is None:
        return ()
    found = (entry for entry in verdict.ranked if entry.type is not verdict.deciding.type)
    return tuple(entry.type for entry in found if entry.score >= OTHER_CAUSE)[:3]


def same_cause(verdict: Verdict, context: Context) -> Iterable[Scored]:
    """The hits that go with the deciding one: same type, same section, in the order of the log."""
    assert verdict.deciding is not None
    deciding = verdict.deciding
    section = context.section_at(deciding.hit.number)
    return sorted(
        (e for e in verdict.scored if e.type is deciding.type and context.section_at(e.hit.number) is section),
        key=lambda entry: entry.hit.number,
    )

"""What went wrong in a step: the eleven failure types, the signal that names one, and `classify_failure`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from autofix.context import MARKERS, Context, read_context
from autofix.facts import facts_of, signal_name
from autofix.fingerprints import fingerprint
from autofix.judging import Scored, Verdict, confidence, judge, other_causes, same_cause, speaker
from autofix.matching import Hit, RuleSet, Tally, is_pattern, tally
from autofix.patterns import RULES
from autofix.patterns.rule import HINT, MENTION, Rule
from autofix.reading import blocks
from autofix.signals import DETAIL_KEYS, FailureSignal, FailureType, LogLine, LogReader
from metabuilder.audit.redaction import redact

__all__ = ["DETAIL_KEYS", "FailureSignal", "FailureType", "LogLine", "LogReader", "Rule", "classify_failure"]

_TENANTS_OWN = 40
MESSAGE_CHARACTERS = 300
EVIDENCE_LINES = 12
_PEOPLE_DECIDE = (FailureType.SECURITY, FailureType.POLICY)
_WAITING_HELPS = (FailureType.TRANSIENT, FailureType.RATE_LIMIT)
_WAITED_FOR = (*_WAITING_HELPS, FailureType.INFRA)
# An exit code alone, where no line of the log says more.
_BY_EXIT_CODE = {
    137: Rule("exit.killed", "", FailureType.INFRA, 74, "", "", replan=True),
    126: Rule("exit.not-executable", "", FailureType.INFRA, 70, "", "", deterministic=True),
    127: Rule("exit.command-not-found", "", FailureType.INFRA, 70, "", "", deterministic=True, replan=True),
}
_EXIT_MEANING = {137: "exit code 137: killed, most often for memory", 126: "exit code 126: found but not executable",
                 127: "exit code 127: command not found"}  # fmt: skip


def classify_failure(
    step_name: str,
    logs: str | bytes | LogReader,
    artifacts: Sequence[str] = (),
    *,
    exit_code: int | None = None,
    step_kind: str | None = None,
    command: str | None = None,
    extra_rules: Sequence[Rule] | None = None,
) -> FailureSignal:
    """Name the cause of a failed step from its log. Pure; every input gets a signal, this never raises for content.

    `artifacts` are names of files the step left (they hint at the tool). `extra_rules` (a tenant's own) rank above the
    built-in ones; one whose pattern RE2 refuses is left out.
    """
    about = " ".join(filter(None, (step_name, step_kind, command, *(str(name) for name in artifacts))))
    hits, context, total = _read(logs, about, tuple(extra_rules or ()))
    stated = context.failed[-1].exit_code if context.failed else None
    code = exit_code if exit_code is not None else stated
    if code in _BY_EXIT_CODE:
        end = max((section.end for section in context.sections if not section.closing), default=1)
        hits.append(Hit(_BY_EXIT_CODE[code], max(1, min(end, total)), _EXIT_MEANING[code], {}))
    verdict = judge(hits, context, kind=step_kind, exit_code=code)
    if verdict.deciding is None:
        return _unknown(context, code, step_name)
    return _signal(verdict, context, exit_code)


def _read(logs: str | bytes | LogReader, about: str, extra: tuple[Rule, ...]) -> tuple[list[Hit], Context, int]:
    found: dict[str, Tally] = {}
    marks: list[Hit] = []
    closing: list[tuple[int, bool]] = []
    rule_sets = (_built_in(), *([_compiled(extra)] if extra else ()))
    total = 1
    for block in blocks(logs):
        for rules in rule_sets:
            tally(rules.hits(block), found)
        marks.extend(_markers().hits(block))
        if len(marks) > 20_000:  # a log of traced commands: the early ones no longer matter
            del marks[:10_000]
        closing.extend(block.closing)
        total = block.first_line + block.text.count(b"\n") - 1
    context = read_context(marks, closing, total, about=about)
    return [hit for entry in found.values() for hit in entry.hits()], context, total


@cache
def _built_in() -> RuleSet:
    return RuleSet(RULES)


@cache
def _markers() -> RuleSet:
    return RuleSet(MARKERS)


@lru_cache(maxsize=64)
def _compiled(rules: tuple[Rule, ...]) -> RuleSet:
    """A tenant's rules, raised above the built-in ones. A pattern RE2 refuses is left out: saving it is refused too."""
    usable = (rule for rule in rules if is_pattern(rule.pattern))
    return RuleSet([replace(rule, weight=rule.weight + _TENANTS_OWN) for rule in usable])


def _signal(verdict: Verdict, context: Context, exit_code: int | None) -> FailureSignal:
    deciding = verdict.deciding
    assert deciding is not None
    alike = list(same_cause(verdict, context))
    together = [entry.hit for entry in alike]
    speaking = speaker(deciding, alike).hit
    waits = [e.hit for e in verdict.scored if e.hit.rule.weight <= HINT and {"wait", "at", "now"} & e.hit.groups.keys()]
    details = _details(speaking, [*together, *waits] if deciding.type in _WAITED_FOR else together, exit_code)
    others = other_causes(verdict)
    fixed = _is_deterministic(deciding, verdict)
    if fixed:
        details["deterministic"] = True
    message = _one_line(speaking.text)
    return FailureSignal(
        type=deciding.type,
        confidence=confidence(verdict),
        message=message,
        evidence=_evidence(speaking, together),
        fingerprint=fingerprint(deciding.type, speaking.rule.id, message, details),
        can_retry=_can_retry(deciding, verdict, fixed),
        requires_replan=deciding.hit.rule.replan or speaking.rule.replan,
        requires_approval=deciding.type in _PEOPLE_DECIDE,
        details=details,
        others=others,
    )


def _details(deciding: Hit, together: Iterable[Hit], exit_code: int | None) -> dict[str, Any]:
    details = facts_of(deciding, together)
    if exit_code is not None:
        details["exit_code"] = exit_code
    if signal := signal_name(exit_code):
        details.setdefault("exit_signal", signal)
    return details


def _is_deterministic(deciding: Scored, verdict: Verdict) -> bool:
    """True where the deciding line, or one of another cause that stands as firmly, cannot be mended by a retry."""
    return any(
        _rule_is_deterministic(entry.hit.rule, entry.type)
        for entry in verdict.ranked
        if entry is deciding or entry.score >= max(MENTION + 14, deciding.score - 25)
    )


def _rule_is_deterministic(rule: Rule, type_: FailureType) -> bool:
    if rule.deterministic is not None:
        return rule.deterministic
    return not rule.retryable and type_ not in (*_WAITING_HELPS, FailureType.INFRA, FailureType.TEST_ASSERT)


def _can_retry(deciding: Scored, verdict: Verdict, fixed: bool) -> bool:
    if fixed or deciding.type in _PEOPLE_DECIDE:
        return False
    if deciding.type in _WAITING_HELPS or deciding.hit.rule.retryable:
        return True
    waits = any(entry.type in _WAITING_HELPS and entry.score >= MENTION for entry in verdict.ranked)
    return deciding.type in (FailureType.RUNTIME, FailureType.INFRA) and waits


def _evidence(deciding: Hit, together: Sequence[Hit]) -> tuple[LogLine, ...]:
    lines = {deciding.number: _line(deciding)}
    for hit in sorted(together, key=lambda hit: abs(hit.number - deciding.number)):
        if len(lines) == EVIDENCE_LINES:
            break
        lines.setdefault(hit.number, _line(hit))
    return tuple(lines.values())


def _line(hit: Hit) -> LogLine:
    return LogLine(hit.number, _one_line(hit.text), hit.rule.id)


def _one_line(text: str) -> str:
    text = redact(" ".join("".join(c if c.isprintable() else " " for c in text[: MESSAGE_CHARACTERS * 4]).split()))
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[: MESSAGE_CHARACTERS - 1]}…"


def _unknown(context: Context, code: int | None, step_name: str) -> FailureSignal:
    signal = signal_name(code)
    details: dict[str, Any] = {} if code is None else {"exit_code": code}
    if signal:
        details["exit_signal"] = signal
    if context.timed_out:
        message = _one_line(context.timed_out.text)
        evidence: tuple[LogLine, ...] = (_line(context.timed_out),)
    else:
        ended = f"killed by {signal}" if signal else f"exit code {code}" if code is not None else "no exit code"
        message, evidence = f"the log does not show why the step failed ({ended})", ()
    rule = context.timed_out.rule.id if context.timed_out else "none"
    return FailureSignal(
        type=FailureType.UNKNOWN,
        confidence=0.0,
        message=message,
        evidence=evidence,
        fingerprint=fingerprint(FailureType.UNKNOWN, rule, f"{step_name} {message}", details),
        can_retry=True,
        details=details,
    )

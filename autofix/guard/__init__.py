"""The guard: what makes a patch from any source safe to apply on its own. Pure.

`check_changes` judges files, `check_plan` judges an edited plan. Whatever weakens a check, hides a failure or leaves
what a fix may touch becomes a gate that names the rule, or is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autofix.guard.config_rules import check_configuration
from autofix.guard.dependencies import check_dependencies
from autofix.guard.file_rules import check_file, check_secrets, check_size, is_made_executable, path_problem
from autofix.guard.plan_rules import check_plan
from autofix.guard.python_rules import check_python
from autofix.guard.suppressions import check_suppressions
from autofix.guard.token_rules import check_tokens
from autofix.guard.verdict import Action, ChangedText, Finding, GuardLimits, Rule, Verdict
from metabuilder.builds.changes import FileChange

__all__ = ["Action", "Finding", "GuardLimits", "Rule", "Verdict", "check_changes", "check_plan"]

_RULES: tuple[Rule, ...] = (
    check_secrets,
    check_suppressions,
    check_configuration,
    check_python,
    check_tokens,
)


def check_changes(
    changes: Sequence[FileChange],
    *,
    limits: GuardLimits = GuardLimits(),  # noqa: B008  # frozen
    protected: Sequence[str] = (),
    vouched: Sequence[str] = (),
    extra_rules: Sequence[Rule] = (),
) -> Verdict:
    """Judge a patch. `protected` are globs or folders beyond the built-in ones; `vouched` are package names that the
    caller knows to be the right ones, new or in another version."""
    refused = [problem for change in changes if (problem := path_problem(change))]
    barred = {finding.path for finding in refused}
    texts = [ChangedText(change) for change in changes if change.path not in barred and not is_made_executable(change)]
    findings = list(refused)
    for text in texts:
        findings += _check_text(text, tuple(protected), limits, (*_RULES, *extra_rules))
    findings += check_size(texts, limits)
    findings += check_dependencies(texts, vouched)
    return Verdict(tuple(findings))


def _check_text(
    text: ChangedText, protected: tuple[str, ...], limits: GuardLimits, rules: Sequence[Rule]
) -> Iterator[Finding]:
    findings = list(check_file(text, protected, limits))
    yield from findings
    if any(finding.rule in {"binary", "too-large"} for finding in findings):
        return  # not text, or too much of it to read
    for rule in rules:
        yield from rule(text)

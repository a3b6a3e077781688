"""The pattern tables: every rule compiles, is unique and matches its own sample as a log would show it."""

from collections import Counter

import pytest
import re2

from autofix.context import MARKERS
from autofix.loosening import groups, loosened
from autofix.matching import RuleSet
from autofix.patterns import RULES
from autofix.patterns.tools import TOOL_TYPES, type_of_tool
from autofix.reading import Block, blocks
from autofix.signals import DETAIL_KEYS
from autofix.signals import FailureType as T

GROUPS = {
    "module", "names", "binary", "path", "package", "wait", "unit", "at", "now", "status", "code", "file", "line",
    "test",    "migration", "signal", "tool", "count",
}  # fmt: skip


def test_rules__ids__are_unique():
    assert [name for name, count in Counter(rule.id for rule in RULES).items() if count > 1] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule__its_sample__is_matched_after_cleaning(rule):
    (block,) = blocks(rule.sample)

    hits = list(RuleSet([rule]).hits(block))

    assert [hit.number for hit in hits] == [1]
    assert set(hits[0].groups) <= GROUPS


@pytest.mark.parametrize("rule", MARKERS, ids=lambda rule: f"{rule.id} {rule.sample[:20]}")
def test_marker__its_sample__is_matched_after_cleaning(rule):
    (block,) = blocks(rule.sample)

    assert list(RuleSet([rule]).hits(block))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_loosened__sample__still_matches(rule):
    assert re2.search(f"(?m){loosened(rule.pattern)}", rule.sample)


def test_loosened__wildcard_after_an_opening__is_cut_and_counts_are_dropped():
    assert loosened(r"^could not .{0,80}(?:a|b)|x{1,3}y") == r"^could not |x+y"


def test_groups__all_rules__each_is_in_exactly_one():
    members = [index for group in groups([rule.pattern for rule in RULES]) for index in group]

    assert sorted(members) == list(range(len(RULES)))


def test_rule_set__many_rules_on_one_line__all_are_found():
    found = {
        hit.rule.id for hit in RuleSet(RULES).hits(Block(1, b"a\nE   ImportError: cannot import name 'x' from 'y'\n"))
    }

    assert {"py.cannot-import-name", "py.import-error-other"} <= found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run mypy", T.TYPECHECK),
        ("cargo audit", T.SECURITY),
        ("npm run lint", T.LINT),
        ("build", None),
        ("licences", T.POLICY),
    ],
)
def test_type_of_tool__command__is_the_type_its_findings_have(text, expected):
    assert type_of_tool(text) is expected


def test_tool_types__names__are_lower_case_words():
    assert [name for name in TOOL_TYPES if name != name.lower() or " " in name] == []


def test_detail_keys__documented__are_the_ones_in_use():
    assert len(DETAIL_KEYS) == len(set(DETAIL_KEYS)) == 16

"""Finding the rules that match a log: one pass with an RE2 set per block, then captures on the hit lines only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import re2

from autofix.loosening import groups, loosened
from autofix.patterns.rule import Rule
from autofix.reading import Block

KEPT_FIRST, KEPT_LAST = 40, 60  # hits kept per rule: the first ones and the last ones
SCANNED_PER_BLOCK = 400  # a rule that hits more often in one block is looked up again only near the block's end
_SET_MEMORY = 512 * 1024 * 1024  # RE2's ceiling for automaton states, not what is used


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule matched a line."""

    rule: Rule
    number: int
    text: str
    groups: Mapping[str, str]


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _SET_MEMORY
    options.log_errors = False
    return options


def is_pattern(pattern: str) -> bool:
    """Whether RE2 takes `pattern`."""
    try:
        re2.compile(f"(?m){pattern}".encode("utf-8", "replace"), _options())
    except re2.error:
        return False
    return True


def _set_of(rules: Sequence[Rule], group: Sequence[int]) -> re2.Set:
    candidates = re2.Set.SearchSet(_options())
    for index in group:
        candidates.Add(f"(?m){loosened(rules[index].pattern)}".encode())
    candidates.Compile()
    return candidates


class RuleSet:
    """Compiled rules. Raises `re2.error` for a pattern RE2 refuses."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        options = _options()
        self._patterns = [re2.compile(f"(?m){rule.pattern}".encode(), options) for rule in self.rules]
        self._first_pass = [(_set_of(self.rules, group), group) for group in groups([r.pattern for r in self.rules])]

    def hits(self, block: Block) -> Iterator[Hit]:
        """Yield at most one hit per rule and line; lines are in order within a rule, rules are not."""
        for candidates, group in self._first_pass:
            for index in candidates.Match(block.text) or ():
                yield from self._hits_of(group[index], block)

    def _hits_of(self, index: int, block: Block) -> Iterator[Hit]:
        pattern, rule, text = self._patterns[index], self.rules[index], block.text
        position, number, seen = 0, block.first_line, 0
        while position < len(text) and (match := pattern.search(text, position)):
            start = (
                text.rfind(
                    b"\n",
                    0,
                    match.start() + 1 if text[match.start() : match.start() + 1] != b"\n" else match.start(),
                )
                + 1
            )
            end = text.find(b"\n", match.start())
            number += text.count(b"\n", position, start)
            line = text[start:end]
            confirmed = pattern.search(line)  # a class such as [^"] may have run over the line's end
            if confirmed:
                yield Hit(rule, number, line.decode("utf-8", "replace"), _groups(confirmed))
            position, seen = end + 1, seen + 1
            number += 1
            if seen == SCANNED_PER_BLOCK and len(text) - position > 8192:
                skip_to = text.rfind(b"\n", position, len(text) - 8192) + 1
                if skip_to > position:
                    number += text.count(b"\n", position, skip_to)
                    position = skip_to


def _groups(match: Any) -> dict[str, str]:
    """Named captures. A name may end in digits, since RE2 wants each name once: binary, binary2 are both `binary`."""
    return {
        name.decode().rstrip("0123456789"): value.decode("utf-8", "replace").strip()
        for name, value in match.groupdict().items()
        if value is not None
    }


@dataclass(slots=True)
class Tally:
    """The hits of one rule: the first and the last ones, and how many there were."""

    first: list[Hit] = field(default_factory=list)
    last: deque[Hit] = field(default_factory=lambda: deque(maxlen=KEPT_LAST))
    count: int = 0

    def add(self, hit: Hit) -> None:
        self.count += 1
        (self.first if len(self.first) < KEPT_FIRST else self.last).append(hit)

    def hits(self) -> list[Hit]:
        return [*self.first, *self.last]


def tally(hits: Iterable[Hit], into: dict[str, Tally]) -> None:
    for hit in hits:
        into.setdefault(hit.rule.id, Tally()).add(hit)

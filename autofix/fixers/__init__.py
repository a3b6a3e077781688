"""The fixers there are: the built-in ones in order, then those of the entry point group `metabuilder.fixers`."""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import entry_points

from autofix.decision import Candidate
from autofix.fixers.alembic import AlembicFixer
from autofix.fixers.base import Failure, Fixer
from autofix.fixers.codemods import RemovedNamesFixer
from autofix.fixers.django import MakeMigrations, MergeMigrations
from autofix.fixers.machine import ExecutableBitFixer, TimeoutFixer
from autofix.fixers.missing_tool import InstallStepFixer
from autofix.fixers.moved import MovedDependencyFixer
from autofix.fixers.requirement import RequirementFixer
from autofix.fixers.stubs import NodeTypesFixer, StubsFixer
from autofix.fixers.style_tools import STYLE_FIXERS

logger = logging.getLogger("autofix")

GROUP = "metabuilder.fixers"
BUILT_IN: tuple[Fixer, ...] = (
    *STYLE_FIXERS,
    MergeMigrations(),
    MakeMigrations(),
    AlembicFixer(),
    RequirementFixer(),
    StubsFixer(),
    NodeTypesFixer(),
    MovedDependencyFixer(),
    ExecutableBitFixer(),
    InstallStepFixer(),
    TimeoutFixer(),
    RemovedNamesFixer(),
)


@cache
def all_fixers() -> tuple[Fixer, ...]:
    """Built-in and plugged-in fixers. An entry point names a fixer, or a class or function that makes one."""
    found: dict[str, Fixer] = {fixer.name: fixer for fixer in BUILT_IN}
    for entry in entry_points(group=GROUP):
        loaded = entry.load()
        fixer: Fixer = loaded() if callable(loaded) else loaded
        found.setdefault(fixer.name, fixer)  # a plug-in adds, it never replaces
    return tuple(found.values())


def fixer_named(name: str) -> Fixer:
    """Raises KeyError where no fixer has that name."""
    return {fixer.name: fixer for fixer in all_fixers()}[name]


def candidates_for(failure: Failure) -> list[Candidate]:
    """What all fixers could do about a failure, the least risky first."""
    found: list[Candidate] = []
    for fixer in all_fixers():
        try:
            found += fixer.candidates(failure)
        except Exception:  # the boundary: a plug-in that cannot read a strange project is no reason to stop
            logger.exception("the fixer %s failed", fixer.name)
    return sorted(found, key=lambda candidate: candidate.risk)

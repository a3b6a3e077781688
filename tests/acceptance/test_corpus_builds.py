"""Each broken build, of the shared corpus and our own, healed through the command line and judged by its own check.

Of our own only some run here, quick ones of every type; `run_corpus.py --own` runs them all.
"""

from __future__ import annotations

import pytest

from tests.acceptance.run_corpus import CORPUS, OWN, cases, run_case

pytestmark = pytest.mark.acceptance
# What does not end as its case wants yet, and why. Even these may not heal falsely, break or touch the source.
NOT_YET: dict[str, str] = {}
ABSENT = pytest.mark.skip(reason=f"no corpus of broken builds at {CORPUS}; METABUILDER_CORPUS names another")
CASES = [pytest.param(path, id=path.name) for path in cases()] or [pytest.param(None, marks=ABSENT)]
QUICK = (OWN / "quick.txt").read_text().split()


@pytest.mark.parametrize("path", cases(QUICK, OWN), ids=lambda path: path.name)
def test_heal__own_build__ends_as_its_case_expects(path, tmp_path):
    verdict = run_case(path, tmp_path)
    assert (verdict.harm, verdict.faults) == ([], [])


def test_quick__every_name__is_a_case_of_our_own():
    assert sorted(set(QUICK) - {path.name for path in cases(corpus=OWN)}) == []


@pytest.mark.parametrize("path", CASES)
def test_heal__corpus_build__ends_as_its_case_expects(path, tmp_path):
    verdict = run_case(path, tmp_path)
    assert verdict.harm == []
    if verdict.faults and path.name in NOT_YET:
        pytest.xfail(f"{NOT_YET[path.name]}: {verdict.faults}")
    assert verdict.faults == []


@pytest.mark.skipif(not cases(), reason="no corpus of broken builds")
def test_not_yet__every_name__is_a_case():
    assert sorted(NOT_YET.keys() - {path.name for path in cases()}) == []

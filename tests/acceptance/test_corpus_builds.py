"""Each broken build of the shared corpus, healed through the command line and judged by its own check."""

from __future__ import annotations

import pytest

from tests.acceptance.run_corpus import CORPUS, cases, run_case

pytestmark = pytest.mark.acceptance
# What does not end as its case wants yet, and why. Even these may not heal falsely, break or touch the source.
NOT_YET: dict[str, str] = {}
ABSENT = pytest.mark.skip(reason=f"no corpus of broken builds at {CORPUS}; METABUILDER_CORPUS names another")
CASES = [pytest.param(path, id=path.name) for path in cases()] or [pytest.param(None, marks=ABSENT)]


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

"""Each broken build of the shared corpus, healed through the command line and judged by its own check."""

from __future__ import annotations

import pytest

from tests.acceptance.run_corpus import CORPUS, cases, run_case

pytestmark = pytest.mark.acceptance
ABSENT = pytest.mark.skip(reason=f"no corpus of broken builds at {CORPUS}; METABUILDER_CORPUS names another")
CASES = [pytest.param(path, id=path.name) for path in cases()] or [pytest.param(None, marks=ABSENT)]


@pytest.mark.parametrize("path", CASES)
def test_heal__corpus_build__ends_as_its_case_expects(path, tmp_path):
    assert run_case(path, tmp_path).faults == []

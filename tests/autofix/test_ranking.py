from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from autofix.decision import Candidate, Strategy
from autofix.ranking import History, rank, wilson_lower_bound


def candidate(key, risk=2):
    return Candidate(key=key, fixer="f", strategy=Strategy.PATCH, title=key, risk=risk)


def keys(ranked):
    return [entry.candidate.key for entry in ranked]


def test_rank__no_history__lower_risk_first_then_given_order():
    ranked = rank([candidate("bold", 8), candidate("b", 2), candidate("a", 2), candidate("format", 0)])

    assert keys(ranked) == ["format", "b", "a", "bold"]


def test_rank__healed_before__comes_before_less_risky_ones():
    ranked = rank([candidate("safe", 0), candidate("proven", 6)], [History(key="proven", tried=3, healed=3)])

    assert keys(ranked) == ["proven", "safe"]
    assert ranked[0].why == "healed this failure 3 of 3 times; risk 6"


def test_rank__tried_in_vain__comes_last():
    ranked = rank([candidate("vain", 0), candidate("new", 8)], [History(key="vain", tried=1, healed=0)])

    assert keys(ranked) == ["new", "vain"]


def test_rank__many_successes__outweigh_a_single_lucky_one():
    history = [History(key="lucky", tried=1, healed=1), History(key="steady", tried=20, healed=18)]

    assert keys(rank([candidate("lucky"), candidate("steady")], history)) == ["steady", "lucky"]


def test_rank__harmful_or_repeated__is_left_out():
    ranked = rank([candidate("a", 3), candidate("bad", 0), candidate("a", 0)], harmful={"bad"})

    assert keys(ranked) == ["a"]
    assert ranked[0].candidate.risk == 3  # the first of two with one key


COUNTS = st.integers(0, 10**6)


@hypothesis_settings(deadline=None)  # a busy machine is no failure
@given(COUNTS, COUNTS)
def test_wilson_lower_bound__any_counts__is_cautious(healed, tried):
    bound = wilson_lower_bound(healed, tried)

    assert 0 <= bound <= 1
    if tried and healed <= tried:
        assert bound <= healed / tried + 1e-12
    assert bound <= wilson_lower_bound(healed + 1, tried + 1) + 1e-12

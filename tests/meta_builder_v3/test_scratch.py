import pytest
from tests.engine import *
pytestmark = pytest.mark.django_db(transaction=True)

def show(b):
    print(b.run.status, b.run.outcome, repr(b.run.result_note), b.outcomes(), b.executions(), b.statuses(), b.run.first_signal)

def test_a(tmp_path):
    b = start(tmp_path, [{"name":"s","run":fails_times(2, CUT_OFF)}]); b.go(); show(b)
def test_b(tmp_path):
    b = start(tmp_path, [{"name":"lint","kind":"lint","run":f"{RUFF} check ."}], {"app.py":"import os\n\nx = 1\n"}); b.go(); show(b)
def test_c(tmp_path):
    b = start(tmp_path, [{"name":"test","kind":"test","run":says(ASSERTION)}]); b.go(); show(b)
def test_d(tmp_path):
    b = start(tmp_path, [{"name":"scan","kind":"security","run":says(LEAK)}]); b.go(); show(b); print(b.gate.action)
def test_e(tmp_path):
    b = start(tmp_path, [{"name":"s","run":fails_times(1, "HTTP/1.1 429 Too Many Requests\nRetry-After: 1")}]); b.go(); show(b); print(b.attempts[0].backoff)

import base64
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabuilder.audit.redaction import HELD, Redactor, redact, redact_bytes

A, HEX = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z", "0123456789abcdef"
KEY = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *[(A * 2)[:64]] * 5, "c2hvcnQ=", "-----END RSA PRIVATE KEY-----"])

SECRET = [
    ("AKIA" + "ABCDEFGHIJKLMNOP", "[redacted]"),
    ("using ghp_" + A + "abcd now", "using [redacted] now"),
    ("github_pat_" + A, "[redacted]"),
    ("glpat-" + A[:20], "[redacted]"),
    ("xoxb-1234567890-" + A, "[redacted]"),
    (
        "https://hooks.slack.com/services/T00000000/B00000000/" + A[:24],
        "https://hooks.slack.com/services/[redacted]",
    ),
    ("sk_live_" + A[:24], "[redacted]"),
    ("npm_" + A + "abcd", "[redacted]"),
    ("pypi-AgEIcHlwaS5vcmc" + A * 2, "[redacted]"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + A, "[redacted]"),
    ("> Authorization: Bearer abc.def-123", "> Authorization: Bearer [redacted]"),
    ('{"Authorization": "Basic dXNlcjpwYXNz"}', '{"Authorization": "Basic [redacted]"}'),
    (
        "curl -H 'authorization: token 0123abcd' https://x/",
        "curl -H 'authorization: token [redacted]' https://x/",
    ),
    ("Set-Cookie: sessionid=abcdef123; Path=/", "Set-Cookie: [redacted]"),
    ("clone https://me:p@ss@git.example.org/x", "clone https://[redacted]@git.example.org/x"),
    ("postgres://app:hunter2@db:5432/app failed", "postgres://[redacted]@db:5432/app failed"),
    (f"https://{A}@github.com/a/b", "https://[redacted]@github.com/a/b"),
    ("DB_PASSWORD=correcthorse", "DB_PASSWORD=[redacted]"),
    ("export API_KEY='abc 123'", "export API_KEY='[redacted]'"),
    ('"client_secret": "abcdefgh",', '"client_secret": "[redacted]",'),
    ("aws_secret_access_key = " + A + "/+abc", "aws_secret_access_key = [redacted]"),
    ("//registry.example.org/:_authToken=" + A, "//registry.example.org/:_authToken=[redacted]"),
    ("db:\n  password: correcthorse\n  user: me", "db:\n  password: [redacted]\n  user: me"),
    ("+ mysql --password hunter2 -u me", "+ mysql --password [redacted] -u me"),
    ("argv: ['--token', 'abc123']", "argv: ['--token', '[redacted]']"),
    ("https://s3/x?X-Amz-Signature=0123456789&a=b", "https://s3/x?X-Amz-Signature=[redacted]&a=b"),
    (f"before\n{KEY}\nafter", "before\n[redacted]\nafter"),
    (f"key = {KEY!r}", "key = '[redacted]'"),
    ("-----BEGIN PRIVATE KEY-----\n" + "\n".join([A * 2] * 3) + "\nFAILED tests", "[redacted]\nFAILED tests"),
]

ORDINARY = [
    "FAILED tests/test_auth.py::test_token_is_refreshed - AssertionError: assert 'a' == 'b'",
    "tests/test_password.py::test_reset_password PASSED [ 12%]",
    "SyntaxError: Unexpected token: punc (})",
    "SyntaxError: Unexpected token 'export'",
    "JSONDecodeError: invalid token: line 1 column 5",
    "error: expected token: `;`",
    "commit 0123456789abcdef0123456789abcdef01234567",
    "sha256:" + HEX * 4,
    "Using cached foo-1.0-py3-none-any.whl (12 kB) hash=sha256:" + HEX * 4,
    "request 123e4567-e89b-12d3-a456-426614174000 done",
    "docker://node:20@sha256:" + HEX * 4,
    "FROM image:1.2@sha256:" + HEX * 4,
    "git clone git@github.com:org/repo.git",
    "npm ERR! 404 Not Found - GET https://registry.npmjs.org/@scope%2fpkg",
    "def login(user: str, password: str) -> Token:",
    "password: string",
    "    token = get_token(request)",
    "    return Client(token=token, secret=self.secret)",
    "    assert token == expected",
    "if password != confirmation:",
    "pydantic: password\n  Field required",
    "max_tokens: 4096, num_token=128",
    "secret=None password=True token=",
    "env: GITHUB_TOKEN: ***",
    "token: ${{ secrets.GITHUB_TOKEN }} and $TOKEN and password=${DB_PASSWORD}",
    "use --token to authenticate; --password is required",
    "cache key: node-modules-linux-x64-abc123",
    "primary_key: 42",
    "Authorization failed: 403 Forbidden",
    "the bearer of bad news",
    "KeyError: 'access_token'",
    "ERROR: the file must start with -----BEGIN PRIVATE KEY----- but does not",
    "task-runner sk-learn eyJ",
    "http://localhost:8000/path@x",
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), SECRET)
def test_redact__credential__is_replaced_and_its_name_stays(line, expected):
    assert redact(line) == expected
    assert redact(f"{expected}\n{line}\nmore\n") == f"{expected}\n{expected}\nmore\n"


@pytest.mark.parametrize("line", ORDINARY)
def test_redact__ordinary_line__stays_as_it_is(line):
    expected = line.replace("-----BEGIN PRIVATE KEY-----", "[redacted]")

    assert redact(line) == expected


def test_redact__known_secret__is_found_in_every_form():
    secret = "correct horse/ü"
    encoded = base64.b64encode(secret.encode()).decode()

    text = redact(f"a {secret} b correct%20horse%2F%C3%BC c {encoded} d", secrets=[secret])

    assert text == "a [redacted] b [redacted] c [redacted] d"


def test_redact__known_secret_of_several_lines__each_line_goes():
    assert redact("x first line y\nsecond line z", secrets=["first line\nsecond line\n"]) == (
        "x [redacted] y\n[redacted] z"
    )


def test_redact__known_secret_too_short_to_mean_anything__is_ignored():
    assert redact("step 1 of 10 is on", secrets=["1", "on", ""]) == "step 1 of 10 is on"


def test_redact__surrogates_and_non_utf8__survive():
    assert redact("\ud800 password=x1y2z3 é") == "\ud800 password=[redacted] é"
    assert redact_bytes(b"\xff\xfe token=abc123 \x80\n") == b"\xff\xfe token=[redacted] \x80\n"


TEXT = "\n".join([*(line for line, _ in SECRET), *ORDINARY, "known-secret-value"]).encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_redactor__any_chunk_borders__same_result(cuts):
    borders = [0, *sorted(cuts), len(TEXT)]
    redactor = Redactor(["known-secret-value"])

    pieces = [redactor.feed(TEXT[start:end]) for start, end in itertools.pairwise(borders)]

    assert b"".join(pieces) + redactor.finish() == redact_bytes(TEXT, secrets=["known-secret-value"])


@pytest.mark.parametrize("shift", range(0, 40, 7))
def test_redactor__secret_across_the_cut_of_an_endless_line__is_redacted(shift):
    secret = b"known-secret-value"
    line = b"x " * (HELD // 2 - shift) + b"password=hunter2hunter2 " + secret + b" y" * HELD
    redactor = Redactor([secret.decode()])

    found = b"".join(redactor.feed(line[at : at + 1000]) for at in range(0, len(line), 1000)) + redactor.finish()

    assert found == line.replace(b"hunter2hunter2", b"[redacted]").replace(secret, b"[redacted]")


def test_redactor__secret_longer_than_what_is_held__leaves_nothing_of_it():
    redactor = Redactor()
    data = b"token=" + b"a1" * (2 * HELD) + b" after\n"

    found = b"".join(redactor.feed(data[at : at + 5000]) for at in range(0, len(data), 5000)) + redactor.finish()

    assert b"a1a1" not in found
    assert found.endswith(b" after\n")


def test_redactor__endless_line__is_not_held_back_for_ever():
    redactor = Redactor()

    released = sum(len(redactor.feed(b"." * 10_000)) for _ in range(100))

    assert 1_000_000 - 3 * HELD < released <= 1_000_000


@pytest.mark.parametrize("line", [b"password" * 8, b"://" * 20, b"a:" * 40, b"eyJ" * 30, b"=\"'" * 20, b"-" * 80])
def test_redact__hostile_input__takes_linear_time(line):
    def seconds(count):
        started = time.perf_counter()
        redact_bytes((line + b" ") * count)
        return time.perf_counter() - started

    small, large = min(seconds(500) for _ in range(3)), min(seconds(4000) for _ in range(2))

    assert large < 40 * small + 0.5, "eight times the input; quadratic would be 64 times the time"

"""One shape for every error."""

import json

import pytest
from django.test import Client
from rest_framework.exceptions import Throttled
from rest_framework.test import APIRequestFactory

from metabuilder.builds.api.problems import exception_handler
from metabuilder.builds.errors import LeaseBusy
from tests.api.conftest import assert_problem, client_of
from tests.factories import plan_body

RUNS = "/api/meta/v2/runs"


def send(client, body, content_type="application/json"):
    return client.post(RUNS, body, content_type=content_type)


@pytest.mark.parametrize("body", [b"{", b"", b"[", b'{"a": NaN}', b"\xff\xfe\x00", b'{"a": ' + b"[" * 100_000])
def test_body__that_is_no_json__is_a_parse_error(owner, body):
    if body == b"":
        assert_problem(send(owner, body), 400, "invalid")  # as an empty object: fields are missing
    else:
        assert_problem(send(owner, body), 400, "parse_error")


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_body__that_is_no_object__is_invalid(owner, body):
    problem = assert_problem(send(owner, json.dumps(body)), 400, "invalid")
    assert problem["errors"][0]["field"] in {"", "source"}


def test_body__half_a_surrogate_pair__is_a_parse_error_everywhere(owner, tenant):
    text = b'{"\\ud800": 1}'
    answer = owner.put("/api/meta/v2/tenants/acme/settings", text, content_type="application/json")
    assert_problem(answer, 400, "parse_error")
    whole = json.dumps({"source": "https://git.example/\U0001f600.git", "plan": plan_body()})
    assert "\\ud83d\\ude00" in whole
    assert send(owner, whole).status_code == 201


def test_body__too_large__is_refused(owner):
    assert_problem(send(owner, b'{"source": "' + b"x" * (1 << 20) + b'"}'), 413, "payload_too_large")


def test_media_type__that_is_not_json__is_refused(owner):
    assert_problem(send(owner, "a=b", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")


def test_method__that_does_not_exist__says_which_do(owner):
    answer = owner.delete(RUNS)
    assert_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize("path", ["/api/meta/v2/nothing", "/api/meta/v3/", "/api/meta/v2/runs/7", f"{RUNS}/"])
def test_address__that_does_not_exist__is_a_problem_too(owner, path):
    assert_problem(owner.get(path), 404, "not_found")


@pytest.mark.django_db
def test_address__outside_the_api__is_a_page(client):
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_own_failure__inside_the_api__is_a_problem_that_tells_nothing(owner, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("the secret is 42")

    monkeypatch.setattr("metabuilder.builds.runs.create_run", broken)
    owner.raise_request_exception = False

    answer = owner.post(RUNS, {"source": "https://git.example/a.git", "plan": plan_body()}, format="json")

    assert_problem(answer, 500, "server_error")
    assert "42" not in answer.content.decode()


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer"])
def test_token__that_is_wrong__is_unauthorized(db, scheme):
    client = client_of()
    for text in ("nonsense", "", "mb_" + "x" * 43):
        client.credentials(HTTP_AUTHORIZATION=f"{scheme} {text}")
        answer = client.get(RUNS)
        assert_problem(answer, 401, "authentication_failed")
        assert answer["WWW-Authenticate"].startswith("Bearer")


def test_handler__throttled__keeps_the_wait():
    response = exception_handler(Throttled(wait=7), {"request": APIRequestFactory().get("/")})
    assert (response.status_code, response.data["code"], response["Retry-After"]) == (429, "throttled", "7")


def test_handler__domain_error__has_its_code_and_status():
    response = exception_handler(LeaseBusy("r1"), {})
    assert (response.status_code, response.data["code"]) == (409, "lease_busy")
    assert "r1 is being worked on" in response.data["detail"]


@pytest.mark.django_db
def test_anonymous__browser_without_session__is_asked_for_a_token():
    assert_problem(Client().get(RUNS), 401, "not_authenticated")

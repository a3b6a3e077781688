import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from metabuilder.builds.states import Role
from tests.factories import TenantFactory, UserFactory, member, token_of


def client_of(user=None):
    """A program: it shows a token, or nothing."""
    client = APIClient()
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_of(user)}")
    return client


def assert_problem(response, status, code=None):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "errors"}
    assert body["status"] == status
    assert body["type"] == f"urn:metabuilder:problem:{body['code']}"
    assert body["title"]
    assert body["detail"]
    if code:
        assert body["code"] == code
    return body


def queries_of(client, path):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.fixture
def tenant(db):
    return TenantFactory(slug="acme")


@pytest.fixture
def people(tenant):
    """One person of each role, one who belongs to another tenant, one to none, and nobody (None)."""
    members = {role.value: member(tenant, role, username=role.value) for role in Role}
    outsider = member(TenantFactory(slug="other"), Role.OWNER, username="outsider")
    return {**members, "outsider": outsider, "loner": UserFactory(username="loner"), "anonymous": None}


@pytest.fixture
def owner(people):
    return client_of(people["owner"])


@pytest.fixture
def viewer(people):
    return client_of(people["viewer"])

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metabuilder.builds.models import ApiToken
from metabuilder.builds.tokens import create_token
from tests.api.conftest import client_of
from tests.factories import UserFactory, member

pytestmark = pytest.mark.django_db
RUNS = "/api/meta/v2/runs"


def test_create_token__any__stores_a_digest_only():
    token, plain = create_token(UserFactory(), name="ci")

    stored = ApiToken.objects.filter(pk=token.pk).values().get()
    assert plain not in str(stored)
    assert len(stored["digest"]) == 64
    assert create_token(token.user, name="ci")[1] != plain


def test_create_token_command__prints_the_token_alone_on_stdout(tenant):
    user = member(tenant, username="robot")
    out, err = StringIO(), StringIO()

    call_command("create_token", "robot", "--name", "nightly", stdout=out, stderr=err)

    client = client_of()
    client.credentials(HTTP_AUTHORIZATION=f"Token {out.getvalue().strip()}")
    assert client.get(RUNS).status_code == 200
    assert "shown once" in err.getvalue()
    assert ApiToken.objects.get().user == user


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "--name", "x"], "no user 'nobody'"),
        (["gone", "--name", "x"], "not active"),
        (["here", "--name", " "], "--name"),
        (["here", "--name", "x" * 101], "--name"),
    ],
)
def test_create_token_command__bad_arguments__make_no_token(arguments, message):
    UserFactory(username="gone", is_active=False)
    UserFactory(username="here")
    with pytest.raises(CommandError, match=message):
        call_command("create_token", *arguments)
    assert not ApiToken.objects.exists()


def test_token__user_deactivated__stops_working(tenant):
    user = member(tenant)
    client = client_of(user)
    assert client.get(RUNS).status_code == 200
    user.is_active = False
    user.save()
    assert client.get(RUNS).status_code == 401


def test_token__used__is_noted_at_most_once_a_minute(tenant, django_assert_num_queries):
    client = client_of(member(tenant))
    token = ApiToken.objects.get()
    assert token.last_used_at is None

    client.get(RUNS)
    token.refresh_from_db()
    first = token.last_used_at
    assert timezone.now() - first < timedelta(seconds=30)
    client.get(RUNS)
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    client.get(RUNS)
    token.refresh_from_db()
    assert token.last_used_at >= first


def test_token__accepted__needs_no_csrf_token(tenant):
    from rest_framework.test import APIClient

    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {create_token(member(tenant), name='ci')[1]}")
    answer = client.post("/api/meta/v3/classify-failure", {"step_name": "x", "logs": ""}, format="json")
    assert answer.status_code == 200

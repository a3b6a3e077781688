"""First start: the embedded database makes itself, and the first owner can sign in."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from metabuilder.audit.models import AuditEvent
from metabuilder.builds.embedded import ensure_database
from metabuilder.builds.models import Membership, Tenant

ROOT = Path(__file__).resolve().parents[2]
ENSURE = """
import django

django.setup()
from metabuilder.builds.embedded import ensure_database

print(ensure_database())
"""


def bootstrap(*arguments):
    out = StringIO()
    call_command("bootstrap", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_bootstrap__empty_database__prints_a_login_that_works_once_and_is_audited(client):
    printed = bootstrap("--tenant", "acme", "--username", "ada", "--email", "ada@example.org")

    password = re.search(r"Password: (\S+)", printed).group(1)
    owner = authenticate(username="ada", password=password)
    assert owner
    assert (owner.is_staff, owner.email) == (True, "ada@example.org")
    assert Membership.objects.get(user=owner).tenant == Tenant.objects.get(slug="acme")
    assert Membership.objects.get(user=owner).role == "owner"
    client.force_login(owner)
    assert client.get("/admin/").status_code == 200
    event = AuditEvent.objects.get(event_type="member.changed")
    assert event.payload["user"] == "ada"
    assert password not in str(event.payload)


@pytest.mark.django_db
def test_bootstrap__repeated__prints_no_password_and_changes_nothing():
    bootstrap()
    before = User.objects.get().password

    assert "Password" not in bootstrap()
    assert User.objects.get().password == before
    assert (Tenant.objects.count(), Membership.objects.count(), AuditEvent.objects.count()) == (1, 1, 1)


@pytest.mark.django_db
def test_bootstrap__second_tenant__has_an_owner_who_does_not_administer_the_platform():
    bootstrap()
    bootstrap("--tenant", "other", "--username", "bob")
    assert list(User.objects.order_by("pk").values_list("is_superuser", flat=True)) == [True, False]


def test_bootstrap__bad_slug__is_a_usage_error_that_names_the_option():
    with pytest.raises(CommandError, match="--tenant 'a b'"):
        bootstrap("--tenant", "a b")


def ensure_in_a_process(data_dir):
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "metabuilder.settings"}
    return subprocess.Popen(
        [sys.executable, "-c", ENSURE],
        cwd=ROOT,
        env=env | {"METABUILDER_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ensure_database__four_processes_at_once__one_migrates_and_all_succeed(tmp_path):
    processes = [ensure_in_a_process(tmp_path / "data") for _ in range(4)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in processes]

    assert [status for _, _, status in ended] == [0] * 4, ended
    assert sorted(out.strip() for out, _, _ in ended) == ["False"] * 3 + ["True"]
    with sqlite3.connect(tmp_path / "data/db.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM build_runs").fetchone() == (0,)


@pytest.mark.django_db
def test_ensure_database__up_to_date__asks_one_question(django_assert_max_num_queries):
    if connection.vendor != "sqlite":
        pytest.skip("only the embedded database is migrated in passing")
    with django_assert_max_num_queries(3):
        assert ensure_database() is False

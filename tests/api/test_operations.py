"""/healthz, /readyz, /metrics, and the API's own description."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from metabuilder.builds.models import WorkerHeartbeat
from metabuilder.builds.queue import beat, enqueue_advance
from metabuilder.builds.states import RunStatus
from tests.factories import ApprovalGateFactory, AutoFixRunFactory, BuildRunFactory

COUNT = """
import django; django.setup()
from approvals.metrics import approval_requests
from autofix.metrics import attempts_total, operation_seconds
attempts_total.labels("LINT", "succeeded").inc(3)
operation_seconds.labels("classify").observe(0.2)
"""
SCRAPE = """
import django; django.setup()
from django.test import RequestFactory
from autofix.metrics import attempts_total
from metabuilder.ops import metrics
attempts_total.labels("LINT", "succeeded").inc(2)
print(metrics(RequestFactory().get("/metrics")).content.decode())
"""


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(client):
    return samples(client.get("/metrics").content.decode())


def test_healthz__database_not_asked__is_alive(client):
    answer = client.get("/healthz")  # a query would fail: this test has no database
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz__worker_alive__is_ready(client):
    beat()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.django_db
def test_readyz__no_worker_lately__says_so(client):
    beat()
    WorkerHeartbeat.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    body = answer.json()
    assert (body["status"], body["database"], body["queue"]) == ("unavailable", "ok", "ok")
    assert "no worker" in body["worker"]


@pytest.mark.django_db(transaction=True)
def test_readyz__database_without_a_table__is_unavailable_and_names_no_internals(client):
    with connection.schema_editor() as editor:
        editor.alter_db_table(WorkerHeartbeat, "worker_heartbeats", "worker_heartbeats_away")
    try:
        answer, page = client.get("/readyz"), client.get("/metrics")
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(WorkerHeartbeat, "worker_heartbeats_away", "worker_heartbeats")
    assert answer.status_code == 503
    assert "worker_heartbeats" not in answer.content.decode()
    assert page.status_code == 200  # the other metrics are wanted most now
    assert b"approvals_oldest_waiting_seconds" in page.content
    assert b"builds_workers_alive" not in page.content


@pytest.mark.django_db
def test_metrics__database_state__is_read_at_scrape_time(client):
    before = scraped(client)
    assert before["approvals_oldest_waiting_seconds", ()] == 0
    assert ("autofix_success_ratio", ()) not in before

    enqueue_advance(BuildRunFactory(status=RunStatus.FAILED).pk)
    beat()
    gate = ApprovalGateFactory()
    type(gate).objects.update(created_at=timezone.now() - timedelta(hours=2))
    for outcome in ("succeeded", "succeeded", "succeeded", "failed", "escalated"):
        AutoFixRunFactory(outcome=outcome)

    after = scraped(client)
    assert after["builds_queue_depth", ()] == 1
    assert after["builds_workers_alive", ()] == 1
    assert after["builds_runs", (("status", "failed"),)] == 1
    assert after["builds_runs", (("status", "waiting_approval"),)] == 1
    assert 7200 <= after["approvals_oldest_waiting_seconds", ()] < 7260
    assert after["autofix_success_ratio", ()] == 0.75


@pytest.mark.django_db
def test_metrics__web_requests__are_counted_by_django_prometheus(client):
    client.get("/healthz")
    names = {name for name, _ in scraped(client)}
    assert "django_http_requests_before_middlewares_total" in names
    assert "approval_requests_total" in names


def test_metrics__counted_by_another_process__are_joined_once(tmp_path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "metabuilder.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "METABUILDER_DATA_DIR": str(tmp_path / "data"),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
    }
    (tmp_path / "metrics").mkdir()

    def python(code):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], env=environment, check=True, timeout=120)
    for _ in range(2):
        python(COUNT)
    text = python(SCRAPE)

    found = samples(text)
    assert found["autofix_attempts_total", (("outcome", "succeeded"), ("signal_type", "LINT"))] == 8
    assert found["autofix_operation_seconds_count", (("operation", "classify"),)] == 2
    assert found["builds_queue_depth", ()] == 0
    families = [family.name for family in text_string_to_metric_families(text)]
    assert len(families) == len(set(families))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_operations__other_methods__are_refused(client, path):
    assert client.post(path).status_code == 405


def test_schema__generated__without_a_warning_and_describes_every_endpoint(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))

    document = yaml.safe_load((tmp_path / "schema.yml").read_text())
    assert not [path for path in document["paths"] if path.endswith("/")]
    assert len(document["paths"]) == 20
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for operation in operations:
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert operation["security"]
        assert operation["description"]


@pytest.mark.django_db
def test_docs__page__needs_no_other_host(client):
    page = client.get("/api/docs").content.decode()
    assert client.get("/api/schema").status_code == 200
    assert "https://" not in page
    assert "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page
    assert finders.find("drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")

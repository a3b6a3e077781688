"""What operations get: every alert and panel names metrics and labels that the code really exports."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from autofix.models import AutoFixRun
from metabuilder.builds.models import BuildRun, BuildStep, ScaffoldPlan, Tenant

OPS = Path(__file__).resolve().parents[1] / "ops"
ALERTS = OPS / "prometheus/alerts.yml"
DASHBOARD = OPS / "grafana/meta_builder_v3_dashboard.json"
METRIC_MODULES = ("approvals.metrics", "autofix.metrics")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
KEYWORDS = {"and", "or", "unless", "bool", "offset"}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"\{([^}]*)\}")
RANGE = re.compile(r"\[[^\]]*\]")


def metric_names(expression):
    """Return the metrics that a PromQL expression reads: its identifiers that are not functions or labels."""
    text = re.sub(r'"[^"]*"', "", expression)
    for labels in (GROUPING, SELECTOR, RANGE):
        text = labels.sub(" ", text)
    return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", text)) - KEYWORDS


def label_names(expression):
    grouped = [name.strip() for labels in GROUPING.findall(expression) for name in labels.split(",")]
    selected = [
        re.split(r"[=!]", pair)[0].strip() for labels in SELECTOR.findall(expression) for pair in labels.split(",")
    ]
    return {name for name in grouped + selected if name}


def alert_expressions():
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def panel_expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels}


EXPRESSIONS = [
    *alert_expressions().items(),
    *((title, expression) for title, expressions in panel_expressions().items() for expression in expressions),
]


@pytest.fixture
def scraped(client, db):
    """Return the series that /metrics shows once there is something to show: name -> metric family."""
    make_history()
    page = client.get("/metrics").content.decode()
    families = text_string_to_metric_families(page)
    return {family.name + suffix: family for family in families for suffix in SUFFIXES.get(family.type, ("",))}


def make_history():
    """One decided attempt and one waiting gate: without a sample, some series are not there, rightly."""
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    plan = ScaffoldPlan.objects.create(tenant=tenant, name="api", body={})
    run = BuildRun.objects.create(tenant=tenant, plan=plan, source="https://example.org/api.git")
    step = BuildStep.objects.create(run=run, position=1, name="test", command="pytest")
    AutoFixRun.objects.create(run=run, step=step, signal_type="LINT", outcome="succeeded")


def declared_labels():
    """Return metric name -> label names of every counter and histogram in the code."""
    found = {}
    for module in map(importlib.import_module, METRIC_MODULES):
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                found[metric._name] = set(metric._labelnames)
    return found


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_expression__alert_or_panel__names_only_exported_metrics(title, expression, scraped):
    assert metric_names(expression)
    assert metric_names(expression) <= scraped.keys()


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_expression__alert_or_panel__uses_only_labels_that_its_metrics_have(title, expression):
    labels = declared_labels()
    bases = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in metric_names(expression)}
    allowed = {"le"}.union(*(labels.get(base, set()) for base in bases))
    assert label_names(expression) <= allowed


def test_metric_names__promql__tells_metrics_from_functions_and_labels():
    expression = 'sum by (le, x) (rate(a_bucket{job="b", c!~"d"}[5m])) / on (e) g offset 1h > 4 * 3600'
    assert metric_names(expression) == {"a_bucket", "g"}
    assert label_names(expression) == {"le", "x", "job", "c", "e"}


def test_dashboard__panels__are_the_seven_named_ones():
    assert list(panel_expressions()) == [
        "Attempts by signal type and outcome",
        "Success ratio",
        "Backoff histogram",
        "Re-plans",
        "Approval requests by status",
        "Operation durations",
        "Oldest waiting gate and queue depth",
    ]


def test_metrics_of_the_design__all__are_watched_by_a_panel():
    watched = set().union(*(metric_names(each) for expressions in panel_expressions().values() for each in expressions))
    assert {re.sub(r"_bucket$", "", name) for name in watched} == {
        "autofix_attempts_total",
        "autofix_backoff_seconds",
        "autofix_replans_total",
        "autofix_success_ratio",
        "approval_requests_total",
        "autofix_operation_seconds",
        "approvals_oldest_waiting_seconds",
        "builds_queue_depth",
        "builds_workers_alive",
    }


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian package prometheus)")
def test_alerts__histories_of_a_sick_and_a_healthy_service__fire_and_stay_silent():
    rules = ["promtool", "test", "rules", str(OPS / "prometheus/alerts_test.yml")]
    tried = subprocess.run(rules, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_alerts__each__is_tried_by_the_rule_test():
    expected = (OPS / "prometheus/alerts_test.yml").read_text()
    assert [name for name in alert_expressions() if f'alertname="{name}"' not in expected] == []

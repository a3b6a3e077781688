"""What operations ask of a web process. It joins the apps' metrics, so it belongs to the composition root."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

import approvals.metrics
import autofix.metrics
import metabuilder.builds.metrics
from metabuilder.builds.queue import queue_depth, worker_alive

logger = logging.getLogger(__name__)

DATABASE_COLLECTORS: tuple[Collector, ...] = (
    metabuilder.builds.metrics.DatabaseCollector(),
    approvals.metrics.DatabaseCollector(),
    autofix.metrics.DatabaseCollector(),
)
OK = "ok"


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers. Asks nothing else, so that a broken database does not get web processes killed."""
    return JsonResponse({"status": OK})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether runs can be taken and will be worked on; 503 says what is missing."""
    checks = {name: _result(check) for name, check in READINESS.items()}
    ready = all(result == OK for result in checks.values())
    return JsonResponse({"status": OK if ready else "unavailable", **checks}, status=200 if ready else 503)


def _result(check: Callable[[], str]) -> str:
    try:
        return check()
    except DatabaseError as error:
        logger.warning("not ready: %s", error)
        return "the database does not answer as it should"  # its message may name hosts and users


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def _queue() -> str:
    queue_depth()
    return OK


def _worker() -> str:
    return OK if worker_alive() else "no worker has shown a sign of life lately"


READINESS: dict[str, Callable[[], str]] = {"database": _database, "queue": _queue, "worker": _worker}


class JoinedCollector(Collector):
    """One page for all processes: what they counted together, this one's own metrics, and the database's state."""

    def collect(self) -> Iterator[Metric]:
        shared = _shared()
        yield from shared
        # In multiprocess mode the registry has this process's part of the same counters; each is shown once.
        names = {family.name for family in shared}
        yield from (family for family in REGISTRY.collect() if family.name not in names)
        for collector in DATABASE_COLLECTORS:
            try:
                yield from list(collector.collect())
            except DatabaseError:  # the rest is wanted most when the database is in trouble
                logger.warning("no metrics from the database", exc_info=True)


def _shared() -> list[Metric]:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return []
    collector: Collector = MultiProcessCollector(CollectorRegistry())  # type: ignore[no-untyped-call]  # untyped there
    return list(collector.collect())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    registry = CollectorRegistry()
    registry.register(JoinedCollector())
    return HttpResponse(encode(registry), content_type=content_type)

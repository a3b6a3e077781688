from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autofix.api.serializers import (
    AttemptSerializer,
    FailureSerializer,
    HistorySerializer,
    PlanDeltaSerializer,
    SignalSerializer,
    SummarySerializer,
    signal_json,
)
from autofix.failures import classify_failure
from autofix.models import AutoFixRun, PlanDelta, RetryState
from autofix.patterns.rule import Rule
from autofix.signals_of import tenant_rules
from metabuilder.audit.redaction import redact
from metabuilder.builds.api.access import caller, run_for, tenant_for
from metabuilder.builds.api.pagination import SmallPagination
from metabuilder.builds.api.parsing import LargeJSONParser, PayloadTooLarge
from metabuilder.builds.api.serializers import RunSerializer
from metabuilder.builds.models import BuildRun
from metabuilder.builds.permissions import Action
from metabuilder.builds.runs import retry_run
from settings_flags.services import effective_settings

MAX_LOG_BYTES = 1 << 20


class AttemptViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[AutoFixRun]):
    queryset = AutoFixRun.objects.none()
    serializer_class = AttemptSerializer
    pagination_class = SmallPagination

    def get_queryset(self) -> QuerySet[AutoFixRun]:
        attempts = self.run.auto_fix_runs.select_related("step").prefetch_related("trials")
        return attempts.order_by("created_at", "id")

    @extend_schema(responses={200: HistorySerializer}, operation_id="v3_run_autofix")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What auto-fix did in a run: every attempt with its trials, oldest first, and the budgets."""
        self.run = run_for(request, kwargs["run_id"])
        page = super().list(request)
        page.data = {**page.data, "summary": SummarySerializer(_summary(self.run)).data}
        return page


def _summary(run: BuildRun) -> dict[str, Any]:
    settings = effective_settings(run)
    state = RetryState.objects.filter(run=run).first()
    limits = {name: getattr(settings, name) for name in ("max_total_attempts", "max_per_step_attempts")}
    if state:  # written when the iteration started; a setting that was tightened since counts too
        limits = {name: min(limit, getattr(state, name)) for name, limit in limits.items()}
    return {
        "status": run.status,
        "outcome": run.outcome,
        "iteration": run.iteration,
        "auto_fix_enabled": settings.auto_fix_enabled,
        "attempt_counter": state.attempt_counter if state else 0,
        "total_attempts": state.total_attempts if state else 0,
        "per_step_attempts": state.per_step_attempts if state else {},
        "last_backoff_seconds": state.last_backoff_seconds if state else None,
        "outcomes": dict(run.auto_fix_runs.values_list("outcome").annotate(Count("pk"))),
        **limits,
    }


class PlanDeltaViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[PlanDelta]):
    """What re-planning changed in a run, oldest first."""

    queryset = PlanDelta.objects.none()
    serializer_class = PlanDeltaSerializer
    pagination_class = SmallPagination

    def get_queryset(self) -> QuerySet[PlanDelta]:
        return run_for(self.request, self.kwargs["run_id"]).plan_deltas.order_by("created_at", "id")


class RetryView(APIView):
    @extend_schema(request=None, responses=RunSerializer, operation_id="v3_run_retry")
    def post(self, request: Request, run_id: UUID) -> Response:
        """Run a failed, rolled back or cancelled run again, with fresh budgets; 409 for any other."""
        run = retry_run(run_for(request, run_id, Action.RETRY), actor=caller(request))
        return Response(RunSerializer(run).data)


class ClassifyView(APIView):
    parser_classes = (LargeJSONParser,)  # escapes make a log of 1 MiB up to six times as long

    @extend_schema(request=FailureSerializer, responses=SignalSerializer, operation_id="v3_classify_failure")
    def post(self, request: Request) -> Response:
        """Name the cause of a failure from its log. Nothing is stored."""
        body = FailureSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        failure = body.validated_data
        if len(failure["logs"].encode()) > MAX_LOG_BYTES:
            raise PayloadTooLarge(MAX_LOG_BYTES, "logs")
        signal = classify_failure(
            failure["step_name"],
            redact(failure["logs"]),  # as a log is before it is stored; a message quotes its lines
            failure["artifacts"],
            exit_code=failure.get("exit_code"),
            step_kind=failure.get("step_kind"),
            command=failure.get("command"),
            extra_rules=_rules(request, failure),
        )
        return Response(SignalSerializer(signal_json(signal)).data)


def _rules(request: Request, failure: dict[str, Any]) -> list[Rule] | None:
    if "run_id" in failure:
        return tenant_rules(run_for(request, failure["run_id"]).tenant_id)
    if "tenant_id" in failure:
        return tenant_rules(tenant_for(request, failure["tenant_id"]).pk)
    return None

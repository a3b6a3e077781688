from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from metabuilder.builds import held, runs
from metabuilder.builds.api.access import caller, run_for, tenant_for
from metabuilder.builds.api.hooks import on_run_created
from metabuilder.builds.api.log_windows import read_window
from metabuilder.builds.api.serializers import (
    ExecutionSerializer,
    LogQuerySerializer,
    LogSerializer,
    NewPlanSerializer,
    NewRunSerializer,
    PlanSerializer,
    PlanSummarySerializer,
    RunFilterSerializer,
    RunSerializer,
    StepSerializer,
)
from metabuilder.builds.models import BuildRun, BuildStep, ScaffoldPlan, StepExecution, Tenant
from metabuilder.builds.permissions import Action
from metabuilder.builds.plans import Plan


class PlanViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ScaffoldPlan]):
    """The plans of your tenants, newest first. A plan never changes; a re-plan makes a new one with a parent."""

    queryset = ScaffoldPlan.objects.none()
    lookup_url_kwarg = "plan_id"

    def get_queryset(self) -> QuerySet[ScaffoldPlan]:
        plans = ScaffoldPlan.objects.visible_to(self.request.user).select_related("tenant")
        return (plans.defer("body") if self.action == "list" else plans).order_by("-created_at", "-id")

    def get_serializer_class(self) -> type[PlanSummarySerializer]:
        return PlanSummarySerializer if self.action == "list" else PlanSerializer

    @extend_schema(request=NewPlanSerializer, responses={201: PlanSerializer})
    def create(self, request: Request) -> Response:
        """Store a plan. The same plan is stored once: posting it again returns the stored one."""
        body = NewPlanSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        tenant = tenant_for(request, body.validated_data.get("tenant"), Action.START)
        plan = runs.store_plan(body.validated_data["plan"], tenant=tenant)
        return _created(PlanSerializer(plan).data, reverse("api-v2:plan", args=[plan.pk]))


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[BuildRun]):
    """The runs of your tenants, newest first."""

    queryset = BuildRun.objects.none()
    serializer_class = RunSerializer
    lookup_url_kwarg = "run_id"

    def get_queryset(self) -> QuerySet[BuildRun]:
        found = BuildRun.objects.visible_to(self.request.user).select_related("tenant", "created_by")
        return self._filtered(found).order_by("-created_at", "-id") if self.action == "list" else found

    def _filtered(self, found: QuerySet[BuildRun]) -> QuerySet[BuildRun]:
        query = RunFilterSerializer(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        if named := query.validated_data.get("tenant"):
            found = found.filter(tenant=tenant_for(self.request, named))
        if statuses := query.validated_data.get("status"):
            found = found.filter(status__in=statuses)
        return found

    @extend_schema(parameters=[RunFilterSerializer])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=NewRunSerializer, responses={201: RunSerializer})
    @transaction.atomic
    def create(self, request: Request) -> Response:
        """Create a run with its settings, all or nothing, and start it unless it is held."""
        body = NewRunSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted, user = body.validated_data, caller(request)
        tenant = tenant_for(request, wanted.get("tenant"), Action.START)
        run = runs.create_run(
            tenant=tenant,
            actor=user,
            source=wanted["source"],
            ref=wanted["ref"],
            plan=wanted.get("plan") or _stored_plan(tenant, wanted["plan_id"]),
            hold=wanted["hold"],
        )
        if settings := wanted.get("settings"):
            for hook in on_run_created:
                hook(run, settings, user)
        run.refresh_from_db()
        return _created(RunSerializer(run).data, reverse("api-v2:run", args=[run.pk]))

    @extend_schema(request=None, responses=RunSerializer)
    def cancel(self, request: Request, run_id: UUID) -> Response:
        """Cancel a run; a running one stops within seconds. 409 where it has ended."""
        run = runs.request_cancel(run_for(request, run_id, Action.CANCEL), actor=caller(request))
        return Response(RunSerializer(run).data)

    @extend_schema(request=None, responses=RunSerializer)
    def release(self, request: Request, run_id: UUID) -> Response:
        """Start a run that was created with `hold`. 409 where it is not held."""
        run = held.release_run(run_for(request, run_id, Action.START))
        return Response(RunSerializer(run).data)


class StepViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[BuildStep]):
    """A run's steps, in the order they run."""

    queryset = BuildStep.objects.none()
    serializer_class = StepSerializer

    def get_queryset(self) -> QuerySet[BuildStep]:
        run = run_for(self.request, self.kwargs["run_id"])
        return run.steps.order_by("position", "name")


class ExecutionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[StepExecution]):
    """The executions of a step's command, newest first."""

    queryset = StepExecution.objects.none()
    serializer_class = ExecutionSerializer

    def get_queryset(self) -> QuerySet[StepExecution]:
        run = run_for(self.request, self.kwargs["run_id"])
        step = get_object_or_404(run.steps, pk=self.kwargs["step_id"])
        return step.executions.order_by("-number")

    @extend_schema(parameters=[LogQuerySerializer], responses=LogSerializer, operation_id="v2_step_log")
    def logs(self, request: Request, run_id: UUID, step_id: UUID) -> Response:
        """Read an execution's log. To follow it, ask again with offset=next_offset until it is finished."""
        query = LogQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        number, offset = query.validated_data.get("execution"), query.validated_data["offset"]
        executions = self.get_queryset()
        execution = get_object_or_404(executions, number=number) if number else executions.first()
        if execution is None:
            return Response(_log(None, max(offset, 0), max(offset, 0), False, ""))
        if not execution.log_ref:
            return Response(_log(execution.number, 0, 0, bool(execution.end), ""))
        window = read_window(execution.log_ref, offset=offset, limit=query.validated_data["limit"])
        # `end` was read before the log: where it is set, all of the log was there, also if its writer died.
        finished = window.finished or (window.at_end and bool(execution.end))
        return Response(_log(execution.number, window.offset, window.next_offset, finished, window.text))


def _log(execution: int | None, offset: int, next_offset: int, finished: bool, text: str) -> Any:
    values = {"execution": execution, "offset": offset, "next_offset": next_offset}
    return LogSerializer({**values, "finished": finished, "text": text}).data


def _stored_plan(tenant: Tenant, plan_id: UUID) -> Plan:
    return get_object_or_404(ScaffoldPlan, tenant=tenant, pk=plan_id).plan()


def _created(data: Any, location: str) -> Response:
    return Response(data, status=201, headers={"Location": location})

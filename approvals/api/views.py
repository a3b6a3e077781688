from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import services
from approvals.api.serializers import (
    ApprovalSerializer,
    GateFilterSerializer,
    GateSerializer,
    RejectionSerializer,
)
from approvals.models import ApprovalGate
from metabuilder.builds.api.access import caller, run_for
from metabuilder.builds.api.pagination import SmallPagination


class _GateViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[ApprovalGate]):
    queryset = ApprovalGate.objects.none()
    serializer_class = GateSerializer
    pagination_class = SmallPagination
    lookup_url_kwarg = "gate_id"

    def get_queryset(self) -> QuerySet[ApprovalGate]:
        gates = ApprovalGate.objects.visible_to(self.request.user).order_by("-created_at", "-id")
        return gates.select_related("run__tenant", "step", "requested_by").prefetch_related("decisions__actor")


class GateViewSet(mixins.RetrieveModelMixin, _GateViewSet):
    """The gates of your tenants, newest first."""

    def get_queryset(self) -> QuerySet[ApprovalGate]:
        gates = super().get_queryset()
        if self.action != "list":
            return gates
        query = GateFilterSerializer(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        return gates.filter(**query.validated_data)

    @extend_schema(parameters=[GateFilterSerializer])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    # Not in a transaction: deciding a gate that is overdue or void closes it, which has to stay, and then says so.
    @extend_schema(request=ApprovalSerializer, responses=GateSerializer)
    def approve(self, request: Request, gate_id: UUID) -> Response:
        """Approve a pending gate; its run wakes and does what the gate says. 409 where it is closed."""
        gate = self.get_object()
        body = ApprovalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.approve_gate(gate, actor=caller(request), **body.validated_data)
        return Response(GateSerializer(self.get_object()).data)

    @extend_schema(request=RejectionSerializer, responses=GateSerializer)
    def reject(self, request: Request, gate_id: UUID) -> Response:
        """Reject a pending gate, saying why; its run wakes and rolls back. 409 where it is closed."""
        gate = self.get_object()
        body = RejectionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.reject_gate(gate, actor=caller(request), **body.validated_data)
        return Response(GateSerializer(self.get_object()).data)


class EscalationViewSet(_GateViewSet):
    """The gates of one run, newest first."""

    def get_queryset(self) -> QuerySet[ApprovalGate]:
        return super().get_queryset().filter(run=run_for(self.request, self.kwargs["run_id"]))

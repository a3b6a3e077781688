from django.urls import path

from approvals.api.views import EscalationViewSet, GateViewSet

urlpatterns = [
    path("approvals", GateViewSet.as_view({"get": "list"}), name="approvals"),
    path("approvals/<uuid:gate_id>", GateViewSet.as_view({"get": "retrieve"}), name="approval"),
    path("approvals/<uuid:gate_id>/approve", GateViewSet.as_view({"post": "approve"}), name="approve"),
    path("approvals/<uuid:gate_id>/reject", GateViewSet.as_view({"post": "reject"}), name="reject"),
    path("runs/<uuid:run_id>/escalations", EscalationViewSet.as_view({"get": "list"}), name="escalations"),
]

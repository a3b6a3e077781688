from django.urls import path

from autofix.api.views import AttemptViewSet, ClassifyView, PlanDeltaViewSet, RetryView

urlpatterns = [
    path("runs/<uuid:run_id>/autofix", AttemptViewSet.as_view({"get": "list"}), name="autofix"),
    path("runs/<uuid:run_id>/plan-deltas", PlanDeltaViewSet.as_view({"get": "list"}), name="plan-deltas"),
    path("runs/<uuid:run_id>/retry", RetryView.as_view(), name="run-retry"),
    path("classify-failure", ClassifyView.as_view(), name="classify-failure"),
]

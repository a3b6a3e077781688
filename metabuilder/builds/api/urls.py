from django.urls import path

from metabuilder.builds.api.views import ExecutionViewSet, PlanViewSet, RunViewSet, StepViewSet

run, step = "runs/<uuid:run_id>", "runs/<uuid:run_id>/steps/<uuid:step_id>"
urlpatterns = [
    path("plans", PlanViewSet.as_view({"get": "list", "post": "create"}), name="plans"),
    path("plans/<uuid:plan_id>", PlanViewSet.as_view({"get": "retrieve"}), name="plan"),
    path("runs", RunViewSet.as_view({"get": "list", "post": "create"}), name="runs"),
    path(run, RunViewSet.as_view({"get": "retrieve"}), name="run"),
    path(f"{run}/cancel", RunViewSet.as_view({"post": "cancel"}), name="run-cancel"),
    path(f"{run}/release", RunViewSet.as_view({"post": "release"}), name="run-release"),
    path(f"{run}/steps", StepViewSet.as_view({"get": "list"}), name="steps"),
    path(f"{step}/executions", ExecutionViewSet.as_view({"get": "list"}), name="executions"),
    path(f"{step}/logs", ExecutionViewSet.as_view({"get": "logs"}), name="step-logs"),
]

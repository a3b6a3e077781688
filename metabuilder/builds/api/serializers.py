from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from metabuilder.builds.errors import MetabuilderError
from metabuilder.builds.git import hide_credentials
from metabuilder.builds.masking import masked_plan
from metabuilder.builds.models import BuildRun, BuildStep, ScaffoldPlan, StepExecution
from metabuilder.builds.plans import Plan, parse_plan
from metabuilder.builds.sources import Source, check_no_credentials
from metabuilder.builds.states import RunStatus

LOG_BYTES, MAX_LOG_BYTES = 64 << 10, 1 << 20


@extend_schema_field(OpenApiTypes.OBJECT)
class PlanField(serializers.Field[Any, Any, Any, Any]):
    """A plan as an object, shown with its secrets masked.

    Raises InvalidPlan, whose lines name what is wrong and where.
    """

    def to_internal_value(self, data: Any) -> Plan:
        return parse_plan(data)

    def to_representation(self, value: Any) -> Any:
        return masked_plan(value)  # a stored plan's body


class PlanSummarySerializer(serializers.ModelSerializer[ScaffoldPlan]):
    tenant = serializers.CharField(source="tenant.slug")

    class Meta:
        model = ScaffoldPlan
        fields = ("id", "tenant", "name", "digest", "parent", "created_at")


class PlanSerializer(PlanSummarySerializer):
    plan = PlanField(source="body")

    class Meta(PlanSummarySerializer.Meta):
        fields = (*PlanSummarySerializer.Meta.fields, "plan")  # type: ignore[assignment]  # one longer


class NewPlanSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField(
        required=False, max_length=100, help_text="Slug or id; may be left out by members of one tenant."
    )
    plan = PlanField()


@extend_schema_field({"type": "object", "additionalProperties": {}})
class SettingsField(serializers.DictField):
    """Settings by name; their owner checks them."""


def check_source(source: str) -> None:
    """Refuse what may not be built here, before anything is stored."""
    try:
        check_no_credentials(source)
        Source.parse(source, allow_local=bool(settings.METABUILDER_ALLOW_LOCAL_SOURCES))
    except MetabuilderError as error:
        raise serializers.ValidationError(str(error), code=error.code) from error


class NewRunSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField(
        required=False, max_length=100, help_text="Slug or id; may be left out by members of one tenant."
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a declared field, not Field.source
        max_length=2000, validators=[check_source], help_text="URL of a git repository."
    )
    ref = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=255,
        help_text="Branch, tag or commit; by default the repository's own default branch.",
    )
    plan = PlanField(required=False)
    plan_id = serializers.UUIDField(required=False)
    settings = SettingsField(required=False, help_text="As PUT runs/{id}/settings takes them.")
    hold = serializers.BooleanField(default=False, help_text="Do not start before POST runs/{id}/release.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("plan" in attrs) == ("plan_id" in attrs):
            raise serializers.ValidationError({"plan": "Give either plan or plan_id."})
        return attrs


class FirstSignalSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    confidence = serializers.FloatField()
    message = serializers.CharField()


class RunSerializer(serializers.ModelSerializer[BuildRun]):
    tenant = serializers.CharField(source="tenant.slug")
    source = serializers.SerializerMethodField()  # type: ignore[assignment]  # a declared field, which leaves Field.source alone
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    first_signal = FirstSignalSerializer(allow_null=True)

    class Meta:
        model = BuildRun
        fields = (
            *("id", "tenant", "plan", "source", "ref", "status", "outcome", "iteration", "hold", "created_by"),
            *("created_at", "updated_at", "started_at", "finished_at", "wake_at", "deadline_at"),
            *("cancel_requested_at", "base_commit", "head_commit", "branch", "delivered", "first_signal"),
            "result_note",
        )

    def get_source(self, run: BuildRun) -> str:
        return hide_credentials(run.source)


class RunFilterSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField(required=False, max_length=100, help_text="Slug or id.")
    status = serializers.CharField(required=False, help_text="One status, or several with commas.")

    def validate_status(self, value: str) -> list[str]:
        wanted = [status for status in value.split(",") if status]
        if unknown := sorted(set(wanted) - set(RunStatus.values)):
            known = ", ".join(RunStatus.values)
            raise serializers.ValidationError(f"unknown: {', '.join(unknown)}; there are {known}")
        return wanted


class StepSerializer(serializers.ModelSerializer[BuildStep]):
    kind = serializers.CharField(help_text="As in a plan.")

    class Meta:
        model = BuildStep
        fields = (
            *("id", "position", "name", "kind", "command", "status", "last_exit_code"),
            *("started_at", "finished_at"),
        )


class ExecutionSerializer(serializers.ModelSerializer[StepExecution]):
    class Meta:
        model = StepExecution
        fields = (
            *("id", "number", "iteration", "purpose", "command", "end", "exit_code"),
            *("started_at", "finished_at", "commit"),
        )


class LogQuerySerializer(serializers.Serializer[Any]):
    execution = serializers.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, help_text="Its number; by default the newest."
    )
    offset = serializers.IntegerField(
        default=0,
        min_value=-(2**62),
        max_value=2**62,
        help_text="First byte wanted; negative: counted from the end.",
    )
    limit = serializers.IntegerField(
        default=LOG_BYTES, min_value=1024, max_value=MAX_LOG_BYTES, help_text="Bytes at most."
    )


class LogSerializer(serializers.Serializer[Any]):
    execution = serializers.IntegerField(allow_null=True, help_text="Null: the step has not run yet.")
    offset = serializers.IntegerField(help_text="Of the first byte of `text` in the whole output.")
    next_offset = serializers.IntegerField(help_text="Where to go on reading.")
    finished = serializers.BooleanField(help_text="Nothing will follow next_offset.")
    text = serializers.CharField()

"""What the OpenAPI document says beyond what the views show by themselves."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from metabuilder.builds.api.problems import MEDIA_TYPE


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="Path from the body's root; empty: the body itself.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Stable; what a program should look at.")
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]  # a declared field, not Serializer.errors


class ProblemSchema(AutoSchema):
    """Every operation may also answer with a problem."""

    def get_tags(self) -> list[str]:
        return ["v3" if "/v3/" in self.path else "v2"]

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        bodies["default"] = self._get_response_for_code(  # type: ignore[no-untyped-call]  # untyped there
            ProblemSerializer, "default", [MEDIA_TYPE], direction
        )
        return bodies


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass hook is untyped
    target_class = "metabuilder.builds.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer"}

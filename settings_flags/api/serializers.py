from __future__ import annotations

from typing import Any

from rest_framework import serializers


class SettingSerializer(serializers.Serializer[Any]):
    value = serializers.JSONField(help_text="What counts.")
    # type: ignore: a declared field, which leaves Field.source alone
    source = serializers.CharField(help_text="default, platform, tenant or run")  # type: ignore[assignment]
    own = serializers.JSONField(allow_null=True, help_text="What is set at this level; null: inherited.")
    inherited = serializers.JSONField(help_text="What would count without it.")
    inherited_from = serializers.CharField()
    ceiling = serializers.JSONField(help_text="The platform's limit.")
    run_ceiling = serializers.JSONField(allow_null=True, help_text="How far the tenant lets a run loosen it.")
    unit = serializers.CharField()
    note = serializers.CharField(help_text="Why the value is not the one that was asked for.")


class TenantSettingsSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    settings = serializers.DictField(child=SettingSerializer())
    run_ceiling = serializers.DictField(help_text="Limits of a run's settings, by name.")


class RunSettingsSerializer(TenantSettingsSerializer):
    run = serializers.UUIDField()

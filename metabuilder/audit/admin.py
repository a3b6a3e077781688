from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metabuilder.audit.models import AuditEvent, AuditHead

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "tenant", "seq", "event_type", "actor_name", "subject_type", "subject_id")
    list_filter = ("event_type", "created_at")
    search_fields = ("tenant", "subject_id", "actor_name")
    ordering = ("-created_at", "-seq")
    fields = (
        *("id", "tenant", "seq", "created_at", "event_type", "actor_name", "actor_id"),
        *("subject_type", "subject_id", "pretty_payload", "prev_hash", "hash"),
    )

    @admin.display(description="Payload")
    def pretty_payload(self, event: AuditEvent) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(event.payload, indent=2, ensure_ascii=False))


@admin.register(AuditHead)
class AuditHeadAdmin(ReadOnlyAdmin):
    list_display = ("label", "tenant", "seq", "hash")

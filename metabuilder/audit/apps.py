from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "metabuilder.audit"
    label = "audit"
    verbose_name = "Audit trail"

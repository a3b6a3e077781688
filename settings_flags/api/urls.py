from django.urls import path

from settings_flags.api.views import RunSettingsView, TenantSettingsView

urlpatterns = [
    path("tenants/<slug:tenant>/settings", TenantSettingsView.as_view(), name="tenant-settings"),
    path("runs/<uuid:run_id>/settings", RunSettingsView.as_view(), name="run-settings"),
]

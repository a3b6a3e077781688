from django.urls import path

from settings_flags import views

app_name = "settings_flags"
urlpatterns = [
    path("settings", views.to_auto_fix, name="settings"),
    path("settings/builder", views.to_auto_fix, name="builder"),
    path("settings/builder/auto-fix", views.index, name="auto-fix"),
    path("settings/builder/auto-fix/<slug:slug>", views.tenant_page, name="auto-fix-tenant"),
    path("settings/builder/auto-fix/<slug:slug>/kill-switch", views.kill_switch, name="kill-switch"),
]

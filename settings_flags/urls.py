from django.urls import path

from settings_flags import views

app_name = "settings_flags"
urlpatterns = [
    path("", views.to_auto_fix, name="settings"),
    path("builder", views.to_auto_fix, name="builder"),
    path("builder/auto-fix", views.index, name="auto-fix"),
    path("builder/auto-fix/<slug:slug>", views.tenant_page, name="auto-fix-tenant"),
    path("builder/auto-fix/<slug:slug>/kill-switch", views.kill_switch, name="kill-switch"),
]

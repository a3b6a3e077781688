"""Wiring only."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from metabuilder import ops

admin.site.site_header = admin.site.site_title = "Meta-Builder"
admin.site.site_url = None  # the admin is the site
admin.site.enable_nav_sidebar = False  # its tables need the width
admin.site.index_title = "Builds, and what was done about the broken ones"

handler404 = "metabuilder.builds.api.problems.not_found"
handler500 = "metabuilder.builds.api.problems.server_error"

api_v2 = [
    path("", include("metabuilder.builds.api.urls")),
    path("", include("settings_flags.api.urls")),
]
api_v3 = [
    path("", include("autofix.api.urls")),
    path("", include("approvals.api.urls")),
]

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/"), name="home"),
    # The admin's own login turns away members who are not staff; the settings page does not.
    path("login", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout", LogoutView.as_view(next_page="login"), name="logout"),
    # One page to sign in on, whichever page was asked for.
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),
    path("admin/", admin.site.urls),
    path("settings/", include("settings_flags.urls")),
    path("api/meta/v2/", include((api_v2, "api-v2"))),
    path("api/meta/v3/", include((api_v3, "api-v3"))),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("metrics", ops.metrics, name="metrics"),
    path("healthz", ops.healthz, name="healthz"),
    path("readyz", ops.readyz, name="readyz"),
]

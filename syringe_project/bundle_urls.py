"""Every address of the bundle service."""

from django.urls import path, re_path

from lessons import bundle_views

handler404 = "lessons.bundle_views.not_found"
handler500 = "lessons.bundle_views.server_error"

urlpatterns = [
    path("healthz", bundle_views.health),
    re_path(r"^bundles/(?P<sha256>[0-9a-f]{64})\Z", bundle_views.bundle),
]

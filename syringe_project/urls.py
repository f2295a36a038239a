"""Every address of the web process."""

from django.contrib import admin
from django.http import HttpRequest, JsonResponse
from django.urls import URLPattern, URLResolver, path


def health(request: HttpRequest) -> JsonResponse:
    """Answer that the process serves requests."""
    return JsonResponse({})


urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health, name="health"),
    path("admin/", admin.site.urls),
]

"""Every address of the web process."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, URLResolver, include, path
from django.utils.cache import patch_vary_headers
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from syringe_project.api import api_not_found

handler400 = "syringe_project.error_pages.bad_request"
handler403 = "syringe_project.error_pages.forbidden"
handler404 = "syringe_project.error_pages.not_found"
handler500 = "syringe_project.error_pages.server_error"


def health(request: HttpRequest) -> JsonResponse:
    """Answer that the process serves requests."""
    return JsonResponse({})


def root(request: HttpRequest) -> HttpResponse:
    """Lead people to the learners' pages; answer programs that ask whether all is well."""
    response: HttpResponse
    if "text/html" in request.headers.get("Accept", ""):
        response = HttpResponseRedirect("/learn/")
    else:
        response = JsonResponse({})
    patch_vary_headers(response, ["Accept"])
    return response


# Here and not at the start of every process: workers have no use for the admin.
admin.autodiscover()

_schema = SpectacularAPIView.as_view()
_docs = SpectacularSwaggerView.as_view(url_name="schema")

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health, name="health"),
    path("", root, name="root"),
    path("exp/", include("livelessons.exp.urls")),
    path("acore/exp/", include("livelessons.exp.urls")),
    path("api/v1/", include("lessons.api.urls")),
    path("api/v1/", include("livelessons.api.urls")),
    path("api/v1/schema", _schema, name="schema"),
    path("api/v1/docs", _docs, name="docs"),
    path("api/<path:path>", api_not_found),
    path("learn/", include("web.urls")),
    path("admin/", admin.site.urls),
]

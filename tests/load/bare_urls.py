"""Every address of the project, and a view that does as little as a view with a query can."""

from uuid import UUID

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from livelessons.models import LiveLesson
from syringe_project import urls
from syringe_project.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class BareView(APIView):
    """One query by primary key, one small answer."""

    def get(self, request: Request, live_lesson_id: UUID) -> Response:
        row = LiveLesson.objects.values("id", "slug", "state").get(pk=live_lesson_id)
        return Response(row)


urlpatterns = [path("bare/<uuid:live_lesson_id>", BareView.as_view()), *urls.urlpatterns]

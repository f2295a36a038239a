"""Addresses of ``/exp``, which is served at ``/acore/exp`` as well. None ends with a slash."""

from django.urls import path, re_path

from livelessons.exp import lesson_views, live_views, verifications
from livelessons.exp.endpoints import unknown_address

urlpatterns = [
    path("lesson", lesson_views.lesson_list),
    re_path(r"^lesson/(?P<slug>[^/]*)$", lesson_views.lesson_one),
    path("lesson/<str:slug>/prereqs", lesson_views.lesson_prerequisites),
    path("collection", lesson_views.collection_list),
    re_path(r"^collection/(?P<slug>[^/]*)$", lesson_views.collection_one),
    path("curriculum", lesson_views.curriculum),
    path("antidoteinfo", lesson_views.antidote_info),
    path("antidoteInfo", lesson_views.antidote_info),
    path("livesession", live_views.live_session_create),
    path("livelesson", live_views.live_lesson_request),
    re_path(r"^livelesson/(?P<live_lesson_id>[^/]*)$", live_views.live_lesson_one),
    path("livelesson/<str:live_lesson_id>/verify", verifications.verification_request),
    path("verification/<str:verification_id>", verifications.verification_one),
    re_path(r"^", unknown_address),
]

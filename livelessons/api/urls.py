"""Addresses of sessions and livelessons below ``/api/v1``."""

from django.urls import path

from livelessons.api import live_lesson_views, session_views

urlpatterns = [
    path("sessions", session_views.SessionListView.as_view()),
    path("sessions/me", session_views.OwnSessionView.as_view()),
    path("livelessons", live_lesson_views.LiveLessonListView.as_view()),
    path("livelessons/<uuid:live_lesson_id>", live_lesson_views.LiveLessonView.as_view()),
    path("livelessons/<uuid:live_lesson_id>/stage", live_lesson_views.StageChangeView.as_view()),
    path("livelessons/<uuid:live_lesson_id>/extend", live_lesson_views.ExtensionView.as_view()),
    path("livelessons/<uuid:live_lesson_id>/restart", live_lesson_views.RestartView.as_view()),
    path(
        "livelessons/<uuid:live_lesson_id>/objectives/<slug:slug>/check",
        live_lesson_views.ObjectiveCheckView.as_view(),
    ),
]

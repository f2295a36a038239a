"""Addresses of the curriculum below ``/api/v1``."""

from django.urls import path

from lessons.api import views

urlpatterns = [
    path("lessons", views.LessonListView.as_view()),
    path("lessons/<str:slug>", views.LessonView.as_view()),
    path("collections", views.CollectionListView.as_view()),
    path("collections/<str:slug>", views.CollectionView.as_view()),
    path("curriculum", views.CurriculumView.as_view()),
]

"""Addresses of the learners' pages."""

from django.urls import path

from web import views

app_name = "web"
urlpatterns = [
    path("", views.catalogue_page, name="catalogue"),
    path("<slug:slug>", views.lesson_page, name="lesson"),
    path("guides/<uuid:live_lesson_id>", views.guide_fragment, name="guide"),
]

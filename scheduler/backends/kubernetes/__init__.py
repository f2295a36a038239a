"""Lessons on a Kubernetes cluster: a namespace for each, fenced before anything runs in it."""

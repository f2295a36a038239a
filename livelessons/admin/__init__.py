"""What is running, for operators: to look at in full and to act on through the services."""

from livelessons.admin import live_lessons, parts, people

__all__ = ["live_lessons", "parts", "people"]

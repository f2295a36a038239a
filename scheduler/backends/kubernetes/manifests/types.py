"""The form of a manifest."""

from typing import Any

Manifest = dict[str, Any]
"""One object of the Kubernetes API, ready for JSON."""

"""Kubernetes' own schemas of its objects."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from kubernetes_validate import utils

# They are megabytes, and the library would read them anew for every object.
utils.schema_contents = functools.cache(utils.schema_contents)

OLDEST = "1.29"
NEWEST = utils.latest_version()
"""The supported versions are from the one to the other."""


def validate(manifest: Mapping[str, Any], version: str) -> None:
    """Raise kubernetes_validate.ValidationError unless a version takes all fields of an object."""
    utils.validate(dict(manifest), version, strict=True)

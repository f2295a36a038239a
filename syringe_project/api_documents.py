"""What the OpenAPI description says of every part; nothing is rendered by these."""

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers


class ProblemDocument(serializers.Serializer[object]):
    """The body of every error."""

    detail = serializers.CharField(help_text="A sentence for people.")
    code = serializers.CharField(help_text="A word for programs.")


NOT_MODIFIED = OpenApiResponse(description="What `If-None-Match` names is still so.")


def problem(description: str, code: str, detail: str, **more: object) -> OpenApiResponse:
    """Describe one error with an example."""
    return OpenApiResponse(
        ProblemDocument,
        description,
        [OpenApiExample(code, {"detail": detail, "code": code, **more})],
    )

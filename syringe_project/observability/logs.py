"""Logs: one JSON object a line on standard error."""

from typing import Any

import structlog

from syringe_project.observability.redaction import redact

_SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    redact,
]


def logging_config(*, level: str) -> dict[str, Any]:
    """Return the ``logging.config.dictConfig`` of every Syringe process."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED_PROCESSORS,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.EventRenamer("message"),
                    structlog.processors.JSONRenderer(),
                ],
            },
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json"},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # One line a connection or request at INFO tells operators nothing.
            "asyncssh": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            # It names every WebSocket's address, and addresses may hold tokens.
            "uvicorn": {"level": "WARNING"},
        },
    }

"""Error reports to Sentry, without the secrets that requests and frames carry."""


def initialise(*, dsn: str, instance: str, tier: str) -> None:
    """Send this process's unforeseen errors to ``dsn``; do nothing when it is empty."""
    if not dsn:
        return
    # A tenth of the time in which a process starts, which most installations need not spend.
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=tier,
        server_name=instance,
        send_default_pii=False,
        # Frames hold passwords and session secrets as plain locals.
        include_local_variables=False,
        max_request_body_size="never",
    )

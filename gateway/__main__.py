"""The gateway process: ``python -m gateway [--host ADDRESS]``."""

import argparse
import socket

import uvicorn

from syringe_project.environment import environment

GRACEFUL_SECONDS = 3
PING_SECONDS = 20.0
# A browser on a slow line may have megabytes before the ping to read.
PONG_SECONDS = 60.0


class GatewayServer(uvicorn.Server):
    """Ends terminals and event streams first when it stops; they would never end by themselves."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        from syringe_project.asgi import application

        application.close()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    arguments = parser.parse_args()
    config = uvicorn.Config(
        "syringe_project.asgi:application",
        host=arguments.host,
        port=environment().port,
        # Django's settings configure the logs of every process.
        log_config=None,
        # Addresses hold presentation tokens.
        access_log=False,
        # Believing X-Forwarded-For is the front door's business, by SYRINGE_TRUSTED_PROXIES.
        proxy_headers=False,
        server_header=False,
        # Compressing 20 MB of output costs the one event loop more than sending it.
        ws_per_message_deflate=False,
        ws_max_size=1024 * 1024,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    GatewayServer(config).run()


if __name__ == "__main__":
    main()

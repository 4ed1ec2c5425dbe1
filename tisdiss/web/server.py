"""Serves the page on the loopback interface."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

HOST = "127.0.0.1"


def serve(app: Starlette, port: int, *, on_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; `on_ready` gets the address once it answers. Port 0: any free one.

    ValueError if the port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"port {port} cannot be used ({error.strerror}): choose another with --port"
            ) from error
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        asyncio.run(_served(server, listener, on_ready))


async def _served(
    server: uvicorn.Server, listener: socket.socket, on_ready: Callable[[str], None]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        on_ready(f"http://{HOST}:{listener.getsockname()[1]}/")
    await serving

"""The admin port's server, which runs on a thread of its own."""

from __future__ import annotations

import socket
import threading

import uvicorn

from bridge.ops.admin_app import AdminOperations, admin_app
from bridge.ops.admin_connections import BACKLOG, BoundedConnection

KEEP_ALIVE_S = 30
STOP_TIMEOUT_S = 2.0


class AdminServer:
    """Serves the admin port. The port is open, and answers nothing, until `start`."""

    def __init__(self, operations: AdminOperations, host: str, port: int) -> None:
        """Raises OSError if the port can't be opened. Port 0 stands for any free one."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            admin_app(operations),
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="error",  # A stranger must not be able to fill the log with requests that are not HTTP.
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="admin", daemon=True
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at once, and cut off the requests that are under way."""
        self._server.should_exit = self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)
        self._socket.close()

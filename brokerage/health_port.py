"""A port of its own for health checks, which no request can keep waiting.

The threads of `web` may all be busy, as in the moments after a failover. A check that waited for one of them made the
balancer take healthy processes out, when they were needed most.
"""

import logging
import socket
import threading
from collections.abc import Callable
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

CLIENT_SECONDS_MAX = 2.0
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]

logger = logging.getLogger(__name__)


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS_MAX

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: checks come every second, and HttpMetrics counts them."""


class HealthServer(WSGIServer):
    """Answers one health check after another, each on a connection of its own. It needs one database connection.

    All workers of a process listen on the same port, so a check reaches any one of them.
    """

    allow_reuse_port = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, application: Application) -> None:
        """Listen. Raises OSError if that is impossible."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        """Bind, without the look-up of this host's name that HTTPServer adds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with one check; the next one is answered."""
        logger.info("a health check was not answered", exc_info=True)

    def start(self) -> None:
        """Answer in a thread that ends with the process."""
        threading.Thread(target=self.serve_forever, daemon=True, name="health checks").start()

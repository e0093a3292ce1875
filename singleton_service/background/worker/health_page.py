"""Two pages for a platform's probes, /health/live and /health/ready: 200 or 503, and a line of JSON."""

from __future__ import annotations

import json
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any, cast

from singleton_service._signals import leave_signals_to_the_main_thread

from .health import HealthProbeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .health import Health

logger = logging.getLogger("singleton_service.worker")


class HealthPage:
    """Listens from its making until `stop`."""

    def __init__(self, host: str, port: int, health: Callable[[], Health]) -> None:
        """Listen.

        Args:
            host: the address of an interface; "0.0.0.0" or "::" for all.
            port: 0 for any that is free.
            health: asked for each request, in a thread of its own.

        Raises:
            HealthProbeError: the port is taken, or there is no such address.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("_Server", (_Server,), {"address_family": family})
        try:
            self._server: _Server = kind((host, port), _Answer)
        except OSError as error:
            raise HealthProbeError(
                "TASKS_HEALTH_PORT",
                f"{host}:{port}",
                error.strerror or str(error),
                "Choose another port or end who has it: each process of a machine needs one of its own, or none "
                "(TASKS_HEALTH_PORT unset).",
            ) from error
        self._server.health = health
        self._thread = threading.Thread(target=self._serve, name="worker-health-page", daemon=True)
        self._thread.start()
        logger.info("Health is told at http://%s:%d/health/ready and /health/live", host, self.port)

    def _serve(self) -> None:
        leave_signals_to_the_main_thread()
        self._server.serve_forever()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingTCPServer):
    # A probe that connects and says nothing holds up no other, and not the end.
    daemon_threads = True
    allow_reuse_address = True
    health: Callable[[], Health]


class _Answer(BaseHTTPRequestHandler):
    timeout = 5
    server_version, sys_version = "singleton-service", ""

    def do_GET(self) -> None:
        health = cast("_Server", self.server).health()
        is_well = {"/health/live": health.is_live, "/health/ready": health.is_ready}.get(self.path.partition("?")[0])
        if is_well is None:
            self._answer(404, {"error": "there are /health/live and /health/ready"})
        else:
            said = {"live": health.is_live, "ready": health.is_ready, "reason": health.reason}
            self._answer(200 if is_well else 503, said)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name for it
        logger.debug(format, *arguments)

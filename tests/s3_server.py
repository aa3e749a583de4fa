"""An S3-protocol server on loopback, and a proxy before it that fails on request."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUCKET = "bucket"
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


class Proxy:
    """Forwards to ``upstream``; the faults queued in ``faults`` answer the next requests instead.

    A fault is one of ``"500"``, ``"502"``, ``"slowdown"``, ``"drop"`` (connection reset at once),
    ``"cut"`` (reset in the middle of the true answer), ``"lost"`` (the request is carried out, its
    answer is lost), ``"hang"`` (no answer for ``hang_s``), ``"delay"`` (the true answer, after
    ``delay_s``) and ``"none"``. ``only`` limits faults to matching requests.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.faults: deque[str] = deque()
        self.only: Callable[[str, str], bool] = lambda method, path: True
        self.hang_s = 3.0
        self.delay_s = 0.5
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}"

    def next_fault(self, method: str, path: str) -> str | None:
        with self._lock:
            self.requests.append((method, path))
            if self.faults and self.only(method, path):
                return self.faults.popleft()
            return None

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_any(self) -> None:
        body = self._body()
        fault = self.proxy.next_fault(self.command, self.path)
        if fault == "500":
            return self._answer(500, b"", "text/plain")
        if fault == "502":
            return self._answer(502, b"<html>bad gateway</html>", "text/html")
        if fault == "slowdown":
            return self._answer(503, SLOW_DOWN, "application/xml")
        if fault == "drop":
            return self._reset()
        if fault == "hang":
            time.sleep(self.proxy.hang_s)
            return self._reset()
        if fault == "delay":
            time.sleep(self.proxy.delay_s)
        status, headers, data = self._forward(body)
        if fault == "lost":
            return self._reset()
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length")
        self.send_header(
            "Content-Length", length if self.command == "HEAD" and length else str(len(data))
        )
        self.end_headers()
        if fault == "cut":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            return self._reset()
        self.wfile.write(data)
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.proxy.upstream, timeout=30)
        skip = {"transfer-encoding", "content-length", "expect", "connection"}
        headers = {k: v for k, v in self.headers.items() if k.lower() not in skip}
        try:
            connection.request(self.command, self.path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, data: bytes, kind: str) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _reset(self) -> None:
        """Close with RST, as a crashed server or a lost route does."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()


class S3:
    """The server with one bucket, reached through the proxy."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.proxy = Proxy((host, port))
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def client(self) -> Any:
        """A plain client of the server itself, around the proxy and around our code."""
        import boto3

        host, port = self._server.get_host_and_port()
        return boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def environment(self) -> dict[str, str]:
        """What a user sets to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.proxy.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def stored(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return sorted(o["Key"] for page in pages for o in page.get("Contents", []))

    def stop(self) -> None:
        self.proxy.stop()
        self._server.stop()

"""Closes the network of a process started with this folder on PYTHONPATH, and notes each attempt.

Loopback stays open. Attempts are appended to the file that CLOSED_NETWORK_LOG names.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo


def _local(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    if text in {"", "None", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(text).is_loopback or text in {"0.0.0.0", "::"}
    except ValueError:
        return False


def _note(what: str) -> None:
    with open(os.environ["CLOSED_NETWORK_LOG"], "a") as log:  # noqa: PTH123  # imported before everything
        log.write(f"{' '.join(sys.argv)}: {what}\n")


def connect(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _local(address[0]):
        _note(f"connect {address!r}")
        raise OSError("network closed")
    return _connect(self, address)


def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    if not _local(host):
        _note(f"look up {host!r}")
        raise socket.gaierror(socket.EAI_NONAME, "network closed")
    return _getaddrinfo(host, *args, **kwargs)


if "CLOSED_NETWORK_LOG" in os.environ:
    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.getaddrinfo = getaddrinfo

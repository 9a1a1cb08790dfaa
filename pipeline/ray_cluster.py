"""The one place that imports ray: pure work on the nodes of a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

from pipeline.workers import TRIES, WorkersError

T = TypeVar("T")


class RayCluster:
    """A Ray cluster: that of an address, of RAY_ADDRESS, else one of this machine for as long as this is.

    Ray gives the work of a node that died to another. Its usage reports and its dashboard stay off.
    """

    def __init__(self, address: str | None = None) -> None:
        if find_spec("ray") is None:
            raise WorkersError('Ray is not installed: pip install "answerdeck[ray]"')
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray  # pyright: ignore[reportMissingImports] an extra outside the locks

        self._ray: Any = ray
        where = address or os.environ.get("RAY_ADDRESS") or ""
        options: dict[str, Any] = {"address": address}
        if not where:
            options = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        elif where.startswith("127."):  # Ray would ask at the machine's outer address
            options["_node_ip_address"] = where.partition(":")[0]
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray has bare ones, too: "the current node timed out during startup"
            line = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise WorkersError(f"no Ray cluster can be used at {where or 'this machine'}: {line}") from error
        self.width = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        self._call: Any = ray.remote(num_cpus=1, max_retries=TRIES - 1)(_call)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        ended = self._call.remote(function, *arguments)
        try:
            return await asyncio.wrap_future(ended.future())
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            line = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise WorkersError(f"{function.__name__}: {line}") from error

    def close(self) -> None:
        self._ray.shutdown()


def _call(function: Callable[..., T], *arguments: Any) -> T:
    """Run on a node: the function is found there by its name, in an Answerdeck of the same version."""
    return function(*arguments)

"""The loopback model server, under the name the tests know it by."""

from pipeline.rehearsal.server import FaultServer

__all__ = ["FaultServer"]

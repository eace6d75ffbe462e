"""A typed client of a running service: ``Client`` for scripts and views, ``AsyncClient`` for programs with a loop.

>>> from copykit.client import Client
>>> Client("http://127.0.0.1:8000")
Client('http://127.0.0.1:8000')
"""

from __future__ import annotations

from copykit.client.asynchronous import AsyncClient
from copykit.client.batches import BatchAnswer, BatchItem
from copykit.client.blocking import Client
from copykit.problems import ServiceError, ServiceUnreachable

__all__ = ["AsyncClient", "BatchAnswer", "BatchItem", "Client", "ServiceError", "ServiceUnreachable"]

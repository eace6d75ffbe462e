"""The settings of a server that keeps a store: what its file holds decides whether authentication is on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from copykit.server.config import ServerSettings, data_folder
from copykit.server.keys import has_keys
from copykit.server.store import file_url

__all__ = ["settled"]


def settled(environment: Mapping[str, str]) -> ServerSettings:
    """Read the settings as ``copykit run`` has them: with a store, in the data folder unless another is named.

    Opens the store once, so that a folder that cannot be written is told now. Not within a running event loop.

    Raises:
        ConfigurationError: every mistake at once.
        StoreUnavailable: the store named does not answer.
    """
    draft = ServerSettings.from_env(environment, keyed=True)  # not known yet, and decided below
    url = file_url(data_folder(draft)) if draft.store_url is None else draft.store_url
    keyed = asyncio.run(has_keys(replace(draft, store_url=url)))
    return ServerSettings.from_env(environment, keyed=keyed, store_url=url)

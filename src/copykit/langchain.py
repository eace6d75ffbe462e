"""copykit inside of LangChain: a service as a ``Runnable``, its prompts as ``ChatPromptTemplate``.

The other way, a LangChain model that writes for copykit, is `LangChainProvider`. All of it needs the extra
``langchain``; nothing is imported before it is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from copykit import sync
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import build_prompt
from copykit.errors import MissingExtra
from copykit.models import CopywritingInput, CopywritingOutput
from copykit.providers.langchain import LangChainProvider, prompt_values
from copykit.service import CopywritingService, CopywritingServiceV11

__all__ = ["LangChainProvider", "as_runnable", "prompt_template"]

Request = CopywritingInput | Mapping[str, Any]


def as_runnable(service: CopywritingService | CopywritingServiceV11) -> Any:
    """Give *service* as a ``Runnable``: a request, or a mapping of its fields, to a `CopywritingOutput`.

    ``ainvoke`` and ``abatch`` run on the caller's loop, ``invoke`` and ``batch`` on that of `copykit.sync`: keep
    to one of them, since a service's connections belong to a loop. Closing the service stays the caller's.

    >>> chain = as_runnable(service) | (lambda output: output.text)  # doctest: +SKIP

    Raises:
        MissingExtra: langchain-core is not installed.
    """

    def invoke(request: Request) -> CopywritingOutput:
        """Generate on the background loop."""
        return sync.run(service.generate(request))

    async def ainvoke(request: Request) -> CopywritingOutput:
        """Generate on the caller's loop."""
        return await service.generate(request)

    return _core("runnables").RunnableLambda(invoke, afunc=ainvoke, name="copykit")


def prompt_template(request: Request | None = None) -> Any:
    """Give copykit's prompt as a ``ChatPromptTemplate``.

    For *request* it is filled already, so that ``prompt_template(request) | model`` asks; what the model answers
    is unchecked. Without a request it is the bare frame with the variables ``system`` and ``brief``, to change
    and hand to `LangChainProvider` as ``template``.

    Raises:
        InvalidRequest: the request cannot be served.
        MissingExtra: langchain-core is not installed.
    """
    frame = _core("prompts").ChatPromptTemplate.from_messages([("system", "{system}"), ("human", "{brief}")])
    if request is None:
        return frame
    asked = request if isinstance(request, CopywritingInput) else CopywritingInput(**request)
    values = prompt_values(build_prompt(compile_brief(asked), nonce=os.urandom(8).hex()))
    return frame.partial(system=values["system"], brief=values["brief"])


def _core(room: str) -> Any:
    try:
        return import_module(f"langchain_core.{room}")
    except ImportError as error:
        raise MissingExtra("LangChain", "langchain-core", "langchain") from error

"""Texts as vectors, from providers behind an address that have such models."""

from __future__ import annotations

import struct
from abc import abstractmethod
from base64 import b64decode
from collections.abc import Sequence
from math import isfinite
from typing import Any, ClassVar, NamedTuple

from copykit.errors import InvalidRequest, ProviderError, ProviderProtocolError
from copykit.models import Usage
from copykit.providers.base import Embeddings, charge, charge_of
from copykit.providers.remote import Remote, listed

__all__ = ["EmbeddingRemote", "Page", "vector"]

_MAX_ANSWER = 32 * 2**20
"""Bytes of one answer: 256 vectors of 4,096 numbers, each written out."""


class Page(NamedTuple):
    """What one answer holds."""

    vectors: list[list[float]]
    """In the order of the texts."""
    model: str
    """The model that served; empty if the answer names none."""
    usage: Usage | None


class EmbeddingRemote(Remote):
    """A `Remote` that has models for vectors too; its wire format adds how they are asked for."""

    texts_at_once: ClassVar[int] = 256
    """Most texts of one exchange; more are sent in several, one after another."""

    async def embed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """Give a vector for each of *texts*, in their order, all of one length.

        Args:
            texts: none of them empty; without any, nothing is sent.
            model: the provider's default of ``data/models.toml`` if not given.

        Raises:
            InvalidRequest: a text is empty, or *texts* is one text.
            ProviderError: as `complete`; `charge_of` tells what the exchanges before it have cost.
        """
        if isinstance(texts, str) or not all(map(_is_text, texts)):
            raise InvalidRequest("texts", texts, "must be a list of texts, none of them empty")
        named = model or self.facts.embedding or self._model or (await self._only_model() if texts else "")
        vectors: list[list[float]] = []
        usage: Usage | None = None
        served = named
        for at in range(0, len(texts), self.texts_at_once):
            part = texts[at : at + self.texts_at_once]
            try:
                page = await self._page(part, named)
            except ProviderError as error:
                raise charge(error, _sum(usage, charge_of(error))) from error.__cause__
            vectors += page.vectors
            usage = _sum(usage, page.usage)
            served = self._hidden(page.model) or served
        return Embeddings(vectors, served, usage)

    async def _page(self, texts: Sequence[str], model: str) -> Page:
        with self._told(model):
            path, body = self._embedding_call(texts, model)
            document, _ = await self._document("POST", path, body, limit=_MAX_ANSWER)
            page = self._read_vectors(document)
            if len(page.vectors) != len(texts):
                raise ProviderProtocolError(f"{len(texts)} texts, and {len(page.vectors)} vectors")
            if len({len(each) for each in page.vectors}) > 1:
                raise ProviderProtocolError("the vectors are not of one length")
            return page

    @abstractmethod
    def _embedding_call(self, texts: Sequence[str], model: str) -> tuple[str, dict[str, Any]]:
        """Put *texts* into the wire format: what follows the base address, and the body."""

    @abstractmethod
    def _read_vectors(self, document: dict[str, Any]) -> Page:
        """Read an answer of status 200."""


def vector(value: Any) -> list[float]:
    """Read a vector: numbers, or their four-byte form in base64; `ProviderProtocolError` for what is none."""
    if isinstance(value, str):
        try:
            raw = b64decode(value, validate=True)
            value = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        except (ValueError, struct.error):
            raise ProviderProtocolError("a vector cannot be decoded") from None
    numbers = listed(value, "a vector")
    if not numbers or not all(map(_is_number, numbers)):
        raise ProviderProtocolError("a vector holds something else than numbers")
    return [float(number) for number in numbers]


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # hundreds of digits
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    both = {
        name: (getattr(one, name) or 0) + (getattr(other, name) or 0)
        for name in Usage.model_fields
        if getattr(one, name) is not None or getattr(other, name) is not None
    }
    return Usage(**both)

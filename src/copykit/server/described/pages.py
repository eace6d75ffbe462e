"""The page at ``/docs``: the routes for people, with every file of its own and nothing from elsewhere."""

from __future__ import annotations

from starlette.responses import Response

from copykit.data import load_bytes

__all__ = ["page"]

_FILES = {
    "docs": ("docs.html", "text/html"),
    "docs.css": ("docs.css", "text/css"),
    "docs.js": ("docs.js", "text/javascript"),
    "swagger-ui.css": ("swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui-bundle.js", "text/javascript"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Not even styles stand within the page: what a description or an answer holds is text there, whatever it holds."""
_KEPT_S = 3600
"""Seconds in which a browser need not ask again for two megabytes that change with copykit's version."""


def page(name: str) -> Response:
    """Give the page or one of its files by the last part of its path, one of the route table's."""
    file, kind = _FILES[name]
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": f"public, max-age={_KEPT_S}"}
    return Response(load_bytes(f"docs_page/{file}"), media_type=kind, headers=headers)

"""How the routes are described to whoever calls them: OpenAPI, samples, the page."""

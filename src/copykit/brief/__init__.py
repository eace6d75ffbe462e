"""From a request to everything that is known about it: catalogue, brief, prompt. Pure."""

"""Group S: streams."""

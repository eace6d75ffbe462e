"""Catalogues in, upload files out: readers, the mapping of columns to a brief, writers."""

"""Finished and half-finished results, kept for reuse."""

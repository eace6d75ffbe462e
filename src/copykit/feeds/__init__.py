"""Catalogue files in, result and upload files out."""

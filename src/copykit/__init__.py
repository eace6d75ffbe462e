"""copykit: briefs in, publishable marketing copy out."""

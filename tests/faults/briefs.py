"""Group J: briefs written to mislead a model."""

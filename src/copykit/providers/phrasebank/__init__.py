"""The embedded writer: authored phrases around the brief's own words. No model, no network."""

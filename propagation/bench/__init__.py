"""The measuring protocol: one set of pictures, metrics and baselines, so that no figure depends on who printed it."""

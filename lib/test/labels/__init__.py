"""Training labels for videos that have none: find things, follow them, keep what agrees."""

"""Vision transformers and their parts."""

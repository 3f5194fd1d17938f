"""Parts of Alpha-Refine."""

"""Alpha-Refine: a precise box and a mask for any tracker's box."""

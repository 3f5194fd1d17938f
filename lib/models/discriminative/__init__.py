"""Trackers that learn a filter of the target: DiMP, PrDiMP, ATOM."""

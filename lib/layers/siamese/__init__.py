"""Necks, correlation, fusion, heads and labels of Siamese trackers."""

"""Filters that are learned online, and IoU-Net."""

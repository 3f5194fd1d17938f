"""Siamese trackers: what the template shows is looked for by correlation."""

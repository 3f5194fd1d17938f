"""Trackers with nothing to train offline here: RT-MDNet, ECO."""

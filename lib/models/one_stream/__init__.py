"""OSTrack's family: one transformer for template and search region."""

"""What the user is told."""


class InputError(ValueError):
    """Something that the user gave cannot be used; the message is one line."""

"""Words in messages."""


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one.

    >>> counted(1, "sequence"), counted(20000, "sequence"), counted(2, "process")
    ('1 sequence', '20000 sequences', '2 processes')
    """
    ending = "" if number == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{number} {noun}{ending}"

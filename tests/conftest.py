"""Before the tests: signals that a shell ignores for what runs in the background, or under nohup, end programs."""

import signal

USUAL = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}


def pytest_configure() -> None:
    """Programs that tests start inherit what is ignored here."""
    for name, handler in USUAL.items():
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)

"""Scripts of a checkout that another Python runs than the one that install.sh set up, or that are interrupted while
they load: one line instead of a traceback.

Only the standard library is imported here, and nothing that an old Python does not know.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OLDEST = (3, 10)


def report_missing():  # type: ignore[no-untyped-def]
    """Where a script of this checkout is running: end it with one line if Python is too old, and if a package is not
    found, as soon as it is imported; Ctrl-C meanwhile is one line, too. Programs that import the toolbox get Python's
    own error."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    if os.path.dirname(os.path.abspath(script)) != os.path.join(ROOT, "tracking"):
        return
    if sys.version_info < OLDEST:
        sys.exit("error: " + _advice("is Python {}.{}, but {}.{} is needed".format(*sys.version_info[:2], *OLDEST)))
    before = sys.excepthook

    def report(kind, error, trace):  # type: ignore[no-untyped-def]
        if issubclass(kind, KeyboardInterrupt):
            sys.stderr.write("interrupted while it was loading\n")
            return
        name = str(getattr(error, "name", None) or "").split(".")[0]
        if not issubclass(kind, ModuleNotFoundError) or name in ("", "lib", "tracking"):
            before(kind, error, trace)
        else:
            sys.stderr.write("error: " + _advice("has no package " + name) + "\n")

    sys.excepthook = report


def _advice(problem):  # type: ignore[no-untyped-def]
    there = os.path.exists(os.path.join(ROOT, ".venv"))
    remedy = "source .venv/bin/activate" if there else "bash install.sh"
    return f"{sys.executable} {problem}; in {ROOT} first type: {remedy}"

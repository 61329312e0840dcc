"""
Where what our docstrings name, and is not ours, is documented.

The names are few and stand here, so that a build asks nobody; one that is missing
is a warning of pydoctor's, which ends the build.
"""

import zlib
from pathlib import Path

_PYTHON = "https://docs.python.org/3/library/"
_TWISTED = "https://docs.twisted.org/en/stable/api/"
_CRYPTOGRAPHY = "https://cryptography.io/en/latest/x509/reference/"

EXTERNALS = {
    **{name: f"{_PYTHON}constants.html#{name}" for name in ("None", "False", "True")},
    **{name: f"{_PYTHON}functions.html#{name}" for name in ("bool", "int")},
    **{name: f"{_PYTHON}stdtypes.html#{name}" for name in ("bytes", "str")},
    **{name: f"{_PYTHON}exceptions.html#{name}" for name in ("OSError", "ValueError")},
    "datetime.datetime": f"{_PYTHON}datetime.html#datetime.datetime",
    **{
        name: f"{_TWISTED}{name}.html"
        for name in (
            "twisted.internet.defer.Deferred",
            "twisted.internet.interfaces.IReactorFDSet",
        )
    },
    "cryptography.x509.Certificate": f"{_CRYPTOGRAPHY}#cryptography.x509.Certificate",
}


def writeInventory(directory: Path) -> Path:
    """
    Write them as an inventory of Sphinx's, version 2.

    @return: the file.
    """
    lines = "".join(f"{name} py:obj 1 {place} -\n" for name, place in EXTERNALS.items())
    path = directory / "externals.inv"
    path.write_bytes(
        b"# Sphinx inventory version 2\n# Project: externals\n# Version: 1\n"
        b"# The remainder of this file is compressed using zlib.\n" + zlib.compress(lines.encode())
    )
    return path

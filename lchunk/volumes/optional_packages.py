"""Packages that are only installed with an extra of lchunk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def precomputed_extra(purpose: str) -> Iterator[None]:
    """Explain in the error which extra to install if a package of the extra `precomputed` is missing.

    Args:
        purpose: what the package is needed for, such as "read crackle".

    Raises:
        ImportError: the package is not installed.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise ImportError(
            f"to {purpose}, {package} must be installed, and is not: pip install 'lchunk[precomputed]'"
        ) from error

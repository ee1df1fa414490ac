"""Packages that are installed only where they are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def precomputed_extra(purpose: str) -> Iterator[None]:
    """Say what to install where a package of the extra `precomputed` is absent.

    Args:
        purpose: what it is needed for: "read crackle".

    Raises:
        ImportError: it is absent.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise ImportError(
            f"to {purpose}, {package} must be installed, and is not: pip install 'lchunk[precomputed]'"
        ) from error

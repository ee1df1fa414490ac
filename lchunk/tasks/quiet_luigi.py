"""Luigi, imported without its warning about a cfg that does not set `autoload_range`: lchunk sets it later."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import luigi

__all__ = ["luigi"]

"""Luigi, imported without its warning about a cfg that says nothing of `autoload_range`: ours sets it later."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import luigi

__all__ = ["luigi"]

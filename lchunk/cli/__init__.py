"""The `lchunk` command."""

from lchunk.cli.line import main, parser

__all__ = ["main", "parser"]

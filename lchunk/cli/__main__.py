"""`python -m lchunk.cli` is `lchunk`."""

from lchunk.cli.line import main

main()

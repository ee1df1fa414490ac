"""Opens a queue by its address."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.queue import Queue


def open_queue(address: str, *, patient: bool = False) -> Queue:
    """Open the queue of an address.

    Args:
        address: the name or the URL (`https://…`) of an SQS queue; or a folder, which has a `/` or is `file://…`.
        patient: whether to keep trying while the server is unreachable, as a worker does.

    Raises:
        ValueError: the address is empty, or of another kind.
    """
    if not address:
        raise ValueError("a queue must be given: --queue NAME or URL or FOLDER/, or the variable LCHUNK_QUEUE")
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https") or (not scheme and "/" not in address):
        from lchunk.workers.sqs import SqsQueue  # noqa: PLC0415 - boto3 takes a third of a second

        return SqsQueue(address, patient=patient)
    if scheme in ("", "file"):
        return FolderQueue(Path(unquote(urlsplit(address).path) if scheme else address))
    raise ValueError(f"a queue must be a name, an https:// URL or a folder, got {address!r}")

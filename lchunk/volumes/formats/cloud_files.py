"""The door to cloud-volume: files of buckets and web servers, and the hash of its shards."""

from __future__ import annotations

import os
import uuid
from collections.abc import Hashable

import requests
from cloudfiles import CloudFiles, interfaces, paths, secrets
from cloudvolume.datasource.precomputed import mmh3

from lchunk.volumes.formats.precomputed_folder import Stored
from lchunk.volumes.formats.refusals import reason


class CloudFolder:
    """A folder in a bucket or behind a web server. Nothing of it is kept on this machine.

    Args:
        url: `gs://…`, `s3://…`, `http://…` or `https://…`.
    """

    remote = True

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened = uuid.uuid4().hex
        if url.lower().startswith("s3://"):
            _leave_credentials_to_boto3(paths.extract(url).bucket)
        self._files = CloudFiles(url, progress=False, green=False, parallel=1, locking=False)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> Stored | None:
        """See `Folder`.

        Raises:
            OSError: the network, the server or the credentials failed.
        """
        wanted = {"path": key} if stop is None else {"path": key, "start": start, "end": stop}
        try:
            # a single file is read in this thread
            (found,) = self._files.get([wanted], raw=True)
        except OSError:
            raise
        except Exception as error:
            raise OSError(
                f"{self.url}/{key} must be readable, got an error: {reason(error)}; look at its name and at your "
                "credentials"
            ) from error
        if found["content"] is None:
            return None
        return Stored(f"{self.url}/{key}", found["content"], found["compress"] or "")

    def stamp(self, key: str) -> Hashable:
        """A file is known by its name since the volume was opened: to look costs as much as to read."""
        return self.opened, key


def _leave_credentials_to_boto3(bucket: str) -> None:
    """Let boto3 find the credentials of a bucket where cloud-files fails: for a key in the environment it wants a
    session token too.
    """
    try:
        secrets.aws_credentials(bucket, "s3")
    except KeyError:
        secrets.AWS_CREDENTIALS_CACHE[bucket] = {}


def murmur_hash(number: int) -> int:
    """The lower half of MurmurHash3_x86_128 of a uint64, by which shards may be chosen."""
    lower: int = mmh3.hash64(number.to_bytes(8, "little"), x64arch=False)[0]
    return lower % (1 << 64)


def _forget_connections() -> None:
    """Start anew in a forked process: parent and child must not talk over one connection."""
    interfaces.reset_connection_pools()
    interfaces.HttpInterface.adaptor = requests.adapters.HTTPAdapter()


os.register_at_fork(after_in_child=_forget_connections)

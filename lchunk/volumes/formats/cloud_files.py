"""The only import of cloud-volume's packages: files in buckets and on web servers, and the hash of shards."""

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
    """A folder in a bucket or on a web server. Its files are not cached on the disk.

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
            OSError: the network or the server failed, or the credentials were refused.
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
        """When the volume was opened, and the file's name: looking for a change would cost as much as reading."""
        return self.opened, key


def _leave_credentials_to_boto3(bucket: str) -> None:
    """Let boto3 find the credentials of a bucket if cloud-files fails, which needs a session token for each key."""
    try:
        secrets.aws_credentials(bucket, "s3")
    except KeyError:
        secrets.AWS_CREDENTIALS_CACHE[bucket] = {}


def murmur_hash(number: int) -> int:
    """The lower half of MurmurHash3_x86_128 of a uint64. Some volumes select shards by this hash."""
    lower: int = mmh3.hash64(number.to_bytes(8, "little"), x64arch=False)[0]
    return lower % (1 << 64)


def _forget_connections() -> None:
    """Open new connections in a forked process, because parent and child must not share a connection."""
    interfaces.reset_connection_pools()
    interfaces.HttpInterface.adaptor = requests.adapters.HTTPAdapter()


os.register_at_fork(after_in_child=_forget_connections)

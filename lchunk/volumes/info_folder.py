"""Folders in a format of Neuroglancer, whose `info` also holds the recipe of lchunk.

<folder>/info                        the description that the format requires; the recipe, under `lchunk`
<folder>/index/c/<z>/<y>/<x>.json    of volumes: the last file that is written for a chunk, and so its target
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lchunk.geometry.bbox import Triple
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.documents import create_document, read_json
from lchunk.volumes.store import Store


def index_key(path: str, index: Triple) -> str:
    """Key of the last file of a chunk of a volume.

    >>> index_key("precomputed/image", (0, 2, 1))
    'precomputed/image/index/c/0/2/1.json'
    """
    return f"{path}/index/c/{'/'.join(map(str, index))}.json"


def recipe_in(info: Mapping[str, Any]) -> Recipe:
    """The recipe in an `info`; empty if another program wrote it."""
    recipe: Recipe = info.get("lchunk", {}).get("recipe", {})
    return recipe


def stored_recipe(store: Store, path: str) -> Recipe | None:
    """The recipe of a folder; None if it has no `info` yet."""
    info = read_json(store, f"{path}/info")
    return None if info is None else recipe_in(info)


def with_recipe(info: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """An `info` that also holds a recipe."""
    return info | {"lchunk": {"recipe": recipe}}


def create_info(store: Store, path: str, info: dict[str, Any], recipe: Recipe) -> Recipe:
    """Write `info` with a recipe unless another writer was first. Returns the recipe that is stored then.

    Raises:
        ValueError: the folder has shards that are divided in another way, as other versions of lchunk do it.
    """
    stored = create_document(store, f"{path}/info", with_recipe(info, recipe))
    if stored.get("sharding") != info.get("sharding"):
        raise ValueError(
            f"the sharding of {path}/info must be {info.get('sharding')}, got {stored.get('sharding')}, of another "
            f"version of lchunk; lchunk remove {path} makes room for new shards"
        )
    return recipe_in(stored)

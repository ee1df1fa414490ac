"""Skeletons in files: the same from every format, and refused where a file is wrong or does not tell enough."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from cloudvolume.datasource.precomputed.sharding import ShardingSpecification

from lchunk.volumes.skeletons import Skeletons, find_skeletons

VOXEL_SIZE = (30.0, 8.0, 4.0)
VOXELS = np.array([[3, 10, 20], [4, 12, 21], [4, 13, 25], [-1, 0, 0], [0, 0, 0]])
"""Of a skeleton of three nodes, the second one the root, and of one of two."""
EDGES = [(0, 1), (2, 1), (4, 3)]

SWC_17 = "# a neuron\r\n\r\n1 2 20 10 3 1.5 2\n2 1 21 12 4 1 -1 # the root\n  3 2 25 13 4 1 2\n"
SWC_5 = "10 0 0 0 -1 0 -1\n11 0 0 0 0 0 10\n"
NML = """<?xml version="1.0" encoding="utf-8"?>
<things><parameters><scale x="4" y="8" z="30"{unit}/></parameters>
<thing id="17" name="an axon"><edges><edge source="1" target="2"/><edge source="3" target="2"/></edges>
<nodes><node id="1" x="20" y="10" z="3" radius="1"/><node id="2" x="21" y="12" z="4"/><node id="3" x="25" y="13" z="4"/>
</nodes></thing>
<thing id="5" name=""><nodes><node id="10" x="0" y="0" z="-1"/><node id="11" x="0" y="0" z="0"/></nodes>
<edges><edge source="11" target="10"/></edges></thing></things>
"""
CATMAID = """\ufeffskeleton_id, treenode_id, parent_treenode_id, x, y, z, r
17, 1, 2, 80, 80, 90, 5
17, 2, , 84, 96, 120, 5

5, 10, null, 0, 0, -30, 5
17, 3, 2, 100, 104, 120, 5
5, 11, 10, 0, 0, 0, 5
"""
NODES = "node,skeleton,z_voxels,y_voxels,x_voxels\n1,17,3,10,20\n2,17,4,12,21\n3,17,4,13,25\n1,5,-1,0,0\n2,5,0,0,0\n"
LINKS = "skeleton,source,target\n17,1,2\n17,3,2\n5,2,1\n"


def precomputed(folder: Path, **info: object) -> None:
    """The two skeletons, stored in half nanometres from (1, 2, 3); one compressed."""
    folder.mkdir()
    transform = [0.5, 0, 0, 1, 0, 0.5, 0, 2, 0, 0, 0.5, 3]
    (folder / "info").write_text(json.dumps({"@type": "neuroglancer_skeletons", "transform": transform} | info))
    for name, rows, edges in (("17", slice(3), [(0, 1), (2, 1)]), ("5.gz", slice(3, 5), [(1, 0)])):
        xyz = ((VOXELS[rows] * VOXEL_SIZE)[:, ::-1] - (1, 2, 3)) * 2
        body = struct.pack("<II", len(xyz), len(edges)) + xyz.astype("<f4").tobytes() + np.array(edges, "<u4").tobytes()
        (folder / name).write_bytes(gzip.compress(body) if name.endswith("gz") else body + bytes(4 * len(xyz)))


def parts_of(skeletons: Skeletons) -> dict[str, tuple[list[list[float]], list[list[list[float]]]]]:
    """For each skeleton the places of its nodes, sorted, and those of the ends of its edges."""
    assert (skeletons.skeleton[skeletons.edges[:, 0]] == skeletons.skeleton[skeletons.edges[:, 1]]).all()
    return {
        name: (
            sorted(skeletons.nodes[skeletons.skeleton == number].tolist()),
            sorted(skeletons.nodes[edge].tolist() for edge in skeletons.edges if skeletons.skeleton[edge[0]] == number),
        )
        for number, name in enumerate(skeletons.names)
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("url", "files", "names"),
    [
        ("trees#unit=voxels", {"trees/17.swc": SWC_17, "trees/5.SWC": SWC_5, "trees/notes.txt": "no skeleton"}, "17 5"),
        ("a.nml", {"a.nml": NML.format(unit="")}, "17 an axon|5"),
        ("a.nml", {"a.nml": NML.format(unit=' unit="nanometer"')}, "17 an axon|5"),
        ("a.nml#unit=voxels", {"a.nml": NML.format(unit="").replace('"30"', '"7"')}, "17 an axon|5"),
        ("trees", {"trees/a.nml": NML.format(unit=""), "trees/b.nml": "<things/>"}, "a/17 an axon|a/5"),
        ("a.csv#unit=nm", {"a.csv": CATMAID}, "17 5"),
        ("a.csv#unit=um#offset=-0.03,0,0", {"a.csv": CATMAID.replace("0, 5", "3, 5")}, None),
        ("a.csv#edges=b.csv", {"a.csv": NODES, "b.csv": LINKS}, "17 5"),
        ("precomputed", {}, "17 5"),
    ],
)  # fmt: skip
def test_every_format_gives_the_same_skeletons(
    folder: Path, url: str, files: dict[str, str], names: str | None
) -> None:
    write(folder, files)
    precomputed(folder / "precomputed")
    skeletons = find_skeletons(url).read(VOXEL_SIZE)
    if names is None:
        assert skeletons.nodes[0].tolist() == pytest.approx([92970, 80000, 80000])
        return
    places = (VOXELS * VOXEL_SIZE).tolist()
    wanted = names.split("|") if "|" in names else names.split()
    assert parts_of(skeletons) == {
        wanted[0]: (sorted(places[:3]), sorted([places[a], places[b]] for a, b in EDGES[:2])),
        wanted[1]: (sorted(places[3:]), [[places[4], places[3]]]),
    }


@pytest.mark.parametrize(
    ("url", "files", "message"),
    [
        ("a.swc", {"a.swc": SWC_17}, r"tell the unit of their places, got none in .*a\.swc.*#unit=nm"),
        ("a.csv", {"a.csv": CATMAID}, r"tell the unit of their places, got none in .*a\.csv"),
        ("a.nml", {"a.nml": NML.format(unit="").replace("scale", "size")}, "tell the unit"),
        ("a.swc#unit=furlong", {"a.swc": SWC_17}, "unit must be voxels, or a unit of length"),
        ("a.swc#unit=nm#offset=1,2", {"a.swc": SWC_17}, "offset must be three numbers"),
        ("a.swc#mip=1", {"a.swc": SWC_17}, "must be one of unit, offset, edges, got mip"),
        ("a.swc#unit=nm#edges=b.csv", {"a.swc": SWC_17, "b.csv": LINKS}, "edges must be left out"),
        ("a.swc#unit=nm", {"a.swc": SWC_17.replace("25 13", "25")}, r"line 5 of .*a\.swc must be `number type"),
        ("a.swc#unit=nm", {"a.swc": SWC_17.replace("25 13", "25 nan")}, r"line 5 of .*a\.swc must be"),
        ("a.swc#unit=nm", {"a.swc": SWC_17.replace("3 2 25", "99999999999999999999 2 25")}, "line 5 of"),
        ("a.swc#unit=nm", {"a.swc": SWC_17.replace("4 1 2", "4 1 7")}, "node 7, which .* a does not have in line 5"),
        ("a.swc#unit=nm", {"a.swc": SWC_17 + "2 1 0 0 0 1 -1"}, "got node 2 of skeleton a twice in line 6"),
        ("a.swc#unit=nm", {"a.swc": SWC_17.replace("1 -1", "1 3")}, "no cycle .* from node 3 to node 2, .* in line 5"),
        ("a.swc#unit=nm", {"a.swc": SWC_17.replace("1 -1", "1 2")}, "no cycle .* from node 2 to node 2, .* in line 4"),
        ("a.swc#unit=nm", {"a.swc": "# nothing"}, "must have nodes, got none"),
        ("a.swc#unit=nm", {}, "must exist, got .*a.swc, which does not"),
        ("a.txt", {"a.txt": SWC_17}, "must be a .swc, .nml or .csv file, or a folder"),
        ("both", {"both/a.swc": SWC_17, "both/a.nml": NML}, "one format, got .swc and .nml"),
        ("a.nml", {"a.nml": NML.format(unit="")[:400]}, "must be whole XML, got an error: .*line 6"),
        ("a.nml", {"a.nml": NML.format(unit=' unit="parrot"')}, r"<scale> in line 2 of .*a\.nml"),
        ("a.nml", {"a.nml": NML.format(unit="").replace(' x="25"', "")}, r"<node> in line 4 of .*a\.nml must belong"),
        ("a.nml", {"a.nml": NML.format(unit="").replace('"11" target', '"1" target')}, "node 1, which .* 5 does not"),
        ("a.nml", {"a.nml": '<things><node id="1" x="1" y="1" z="1"/></things>'}, "must belong to a thing"),
        ("a.csv#unit=nm", {"a.csv": CATMAID.replace("84, 96", "84")}, r"line 3 of .*a\.csv must be one node"),
        ("a.csv#unit=nm", {"a.csv": CATMAID.replace(" z,", " w,")}, "must have the column z, got skeleton_id, tree"),
        ("a.csv#unit=nm", {"a.csv": CATMAID.replace(" x,", " y,")}, "columns of .* must have different names"),
        ("a.csv", {"a.csv": NODES}, "column parent, or a table of edges, .* got neither"),
        ("a.csv#unit=nm#edges=b.csv", {"a.csv": CATMAID, "b.csv": LINKS}, "got both; leave one out"),
        ("a.csv#edges=b.csv", {"a.csv": NODES, "b.csv": LINKS + "6,1,2\n"}, r"line 5 of .*b\.csv must be one edge"),
        ("a.csv#edges=b.csv", {"a.csv": NODES, "b.csv": LINKS + "17,2,3\n"}, r"no cycle .* in line 5 of .*b\.csv"),
        ("a.csv#edges=b.csv", {"a.csv": NODES}, "must exist, got .*b.csv"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(folder: Path, url: str, files: dict[str, str], message: str) -> None:
    write(folder, files)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_skeletons(url).read(VOXEL_SIZE)


@pytest.mark.parametrize(
    ("info", "cut", "message"),
    [
        ({"@type": "neuroglancer_legacy_mesh"}, 0, "info of neuroglancer_skeletons, got neuroglancer_legacy_mesh"),
        ({"sharding": {}}, 0, "must be the info of precomputed skeletons, got an error: 'hash'"),
        ({"sharding": {"@type": "shards_v9", "hash": "identity"}}, 0, "the shards of .* must be neuroglancer_uint64"),
        ({"transform": [1, 2]}, 0, "must be the info of precomputed skeletons"),
        ({}, 24, "17 must be a whole precomputed skeleton"),
    ],
)  # fmt: skip
def test_other_or_torn_precomputed_skeletons_are_refused(
    folder: Path, info: dict[str, object], cut: int, message: str
) -> None:
    precomputed(folder / "pre", **info)
    body = (folder / "pre/17").read_bytes()
    (folder / "pre/17").write_bytes(body[: len(body) - cut])
    with pytest.raises(ValueError, match=message):
        find_skeletons("pre").read(VOXEL_SIZE)


@pytest.mark.parametrize("encodings", [("raw", "raw"), ("gzip", "raw"), ("raw", "gzip")])
@pytest.mark.parametrize(("hashing", "bits"), [("identity", (0, 0, 1)), ("murmurhash3_x86_128", (2, 3, 5))])
def test_shards_of_cloud_volume_give_the_same_skeletons(
    folder: Path, hashing: str, bits: tuple[int, int, int], encodings: tuple[str, str]
) -> None:
    sharding = ShardingSpecification("neuroglancer_uint64_sharded_v1", bits[0], hashing, bits[1], bits[2], *encodings)
    precomputed(folder / "single")
    precomputed(folder / "pre", sharding=json.loads(json.dumps(sharding.to_dict(), default=int)))
    bodies = {17: (folder / "pre/17").read_bytes(), 5: gzip.decompress((folder / "pre/5.gz").read_bytes())}
    for name, body in sharding.synthesize_shards(bodies).items():
        (folder / "pre" / name).write_bytes(body)
    read = find_skeletons("pre").read(VOXEL_SIZE)  # of shards alone, although files of single skeletons are there
    assert parts_of(read) == parts_of(find_skeletons("single").read(VOXEL_SIZE))
    shard = next((folder / "pre").glob("*.shard"))
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(ValueError, match=rf"{shard.name} must be a whole shard of skeletons of finite places, got"):
        find_skeletons("pre").read(VOXEL_SIZE)


def test_the_fingerprint_changes_with_each_file(folder: Path) -> None:
    write(folder, {"a.csv": NODES, "b.csv": LINKS})
    found = find_skeletons("a.csv#edges=b.csv")
    before = found.fingerprint()
    write(folder, {"b.csv": LINKS.replace("17,3,2", "17,3,1")})
    assert found.fingerprint() != before

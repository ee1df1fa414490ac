"""Where a stage writes: a root that is a folder, and a layer inside it, whatever a person or a message says."""

import luigi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.tasks.places import LONGEST_NAME, LayerNameParameter, RootParameter, is_inside


class PlacesForTest(luigi.Task):
    root = RootParameter(default="out")
    layer_name = LayerNameParameter(default="")


@pytest.mark.parametrize(
    ("root", "rule"),
    [
        ("", "root must be the dataset's folder, got nothing"),
        ("~/out", r"root must be a path without ~, got '~/out'; write \$\{HOME\}/out in a cfg"),
        ("file://out/mouse", "root must be a path, or file:// and an absolute path, got 'file://out/mouse'"),
        ("out\nimage = a.h5", r"root must be a path of printable names .*, got 'out\\nimage = a.h5'"),
        ("a\x00b", "root must be a path of printable names"),
        ("C:\\out", "root must be a path of printable names"),
        ("x" * (LONGEST_NAME + 1), f"names of at most {LONGEST_NAME} bytes, got 'xxx.*xxx...'"),
    ],
)
def test_a_root_that_would_be_another_folder_than_it_says_is_refused(root: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        PlacesForTest(root=root)


@pytest.mark.parametrize(
    "root", ["out", "my out", "./a/../out", "/data/50%", "file:///data/out", "file://localhost/o", "x" * LONGEST_NAME]
)
def test_a_root_is_kept_as_it_is_written(root: str) -> None:
    assert PlacesForTest(root=root).root == root


@pytest.mark.parametrize("name", ["..", ".", "../other", "/data/other", "a/../..", "a//b", "a/", "a\tb", "x" * 300])
def test_a_layer_name_that_leads_out_of_the_root_is_refused(name: str) -> None:
    assert not is_inside(name)
    with pytest.raises(ValueError, match="layer-name must be a folder inside the root, got"):
        PlacesForTest(layer_name=name)


@given(
    st.lists(st.text("abc-_. é", min_size=3, max_size=20).filter(lambda part: part.strip(".")), min_size=1, max_size=3)
)
def test_any_other_layer_name_is_kept(parts: list[str]) -> None:
    assert PlacesForTest(layer_name="/".join(parts)).layer_name == "/".join(parts)

"""Values are put into a cfg without touching the rest of it."""

from __future__ import annotations

import configparser

from hypothesis import given
from hypothesis import strategies as st

from lchunk.cli.planning.cfg_text import with_values

CFG = """\
# of a mouse
[Dataset]
root = out   # here
image = a.h5:/raw

[Inference]
model =
    net.py
    more
chunk-shape = 1,2,3 ; old
device = cpu
"""
SECTIONS = st.sampled_from(["Dataset", "Inference", "Mesh"])
KEYS = st.sampled_from(["root", "image", "model", "chunk_shape", "device", "mip"])


def parsed(text: str) -> dict[tuple[str, str], str]:
    cfg = configparser.RawConfigParser(inline_comment_prefixes=("#", ";"))
    cfg.read_string(text)
    return {(section, key.replace("-", "_")): value for section in cfg.sections() for key, value in cfg.items(section)}


@given(st.dictionaries(st.tuples(SECTIONS, KEYS), st.sampled_from(["7", "a,b", "%%x"]), max_size=8))
def test_a_cfg_has_the_new_values_and_all_others(values: dict[tuple[str, str], str]) -> None:
    assert parsed(with_values(CFG, values)) == parsed(CFG) | values


def test_comments_stay() -> None:
    text = with_values(CFG, {("Dataset", "root"): "there", ("Inference", "chunk_shape"): "4,5,6"})
    assert text.startswith("# of a mouse\n[Dataset]\nroot = there   # here\n")
    assert "chunk_shape = 4,5,6 ; old\n" in text
    assert with_values(CFG, {}) == CFG

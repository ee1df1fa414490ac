"""JSON with finite numbers only."""

import json
import math

import pytest

from lchunk.volumes.checksum import ChecksumError
from lchunk.volumes.documents import Document, decode_document, encode_document, encode_json, parse_json

CONTENT = {"name": "a", "scores": [1, 0.1, None, True], "label": 2**64 - 4}


def test_what_is_written_is_read() -> None:
    body = encode_json(CONTENT)
    assert parse_json(body, "a document") == CONTENT
    assert json.loads(body) == CONTENT


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_no_word_for_is_refused_with_its_place(number: float) -> None:
    with pytest.raises(ValueError, match=rf"finite numbers, got {number} at /worst/1/voi; write None"):
        encode_json({"worst": [{"voi": 1.0}, {"voi": number}]})
    with pytest.raises(ValueError, match=f"got {number} at its top level"):
        encode_json(number)


@pytest.mark.parametrize("body", [b'{"score": NaN}', b"[Infinity]", b"[-Infinity]", b'{"score": ', b"\xff"])
def test_what_is_not_strict_json_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"data/scores\.json must be JSON with finite numbers, but .*; remove it"):
        parse_json(body, "data/scores.json")


@pytest.mark.parametrize("content", [CONTENT, [CONTENT, {"threshold": 0.30000001}]])
def test_a_document_with_another_number_than_was_written_is_refused(content: Document) -> None:
    body = encode_document(content)
    assert decode_document(body) == content
    for place, number in ((body.index(b"0.1"), b"0.2"), (body.index(b"18446"), b"18447")):
        with pytest.raises(ChecksumError):
            decode_document(body[:place] + number + body[place + len(number) :])
    with pytest.raises(ValueError, match="must be a JSON object with a crc32c"):
        decode_document(encode_json({"voi": 1}))

"""The key of an opening handshake and its answer."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, strategies as st

from trio_fastws._protocol.handshake.accept_key import KEY, accept_key, generate_key


def test_the_example_of_the_rfc() -> None:
    # RFC 6455 1.3
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_keys_are_fresh_and_valid() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(KEY.fullmatch(key.encode()) for key in keys)


@given(st.binary(min_size=16, max_size=16))
def test_every_nonce_of_16_bytes_is_a_key(nonce: bytes) -> None:
    assert KEY.fullmatch(base64.b64encode(nonce))


@pytest.mark.parametrize("size", [0, 1, 15, 17, 18, 32])
def test_no_other_size_is(size: int) -> None:
    assert not KEY.fullmatch(base64.b64encode(bytes(size)))


@pytest.mark.parametrize(
    "key",
    [
        b"dGhlIHNhbXBsZSBub25jZQ",
        b"dGhlIHNhbXBsZSBub25jZQ==\n",
        b" dGhlIHNhbXBsZSBub25jZQ==",
        b"dGhlIHNhbXBsZSBub25jZR==",
        b"dGhlIHNhbXBsZSBub25j-_==",
        b"dGhlIHNhbXBs\xe9SBub25jZQ==",
    ],
)
def test_nor_is_what_only_looks_like_one(key: bytes) -> None:
    assert not KEY.fullmatch(key)

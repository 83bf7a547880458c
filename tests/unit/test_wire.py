"""The hand-written envelope against the protobuf runtime as oracle."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.wire import Payload, WireError, decode, encode, kind_of, with_body
from tests.support.sdk import nacos_grpc_service_pb2 as messages

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PAYLOADS = st.builds(Payload, TEXT, st.binary(), st.dictionaries(TEXT, TEXT), TEXT)


@given(PAYLOADS)
def test_what_is_encoded_is_decoded(payload: Payload) -> None:
    """Every envelope survives the round trip."""
    assert decode(encode(payload)) == payload


@given(PAYLOADS)
def test_the_protobuf_runtime_reads_what_we_write(payload: Payload) -> None:
    """Type, headers, address and body arrive in the generated class of the SDK."""
    read = messages.Payload.FromString(encode(payload))
    assert (read.metadata.type, read.metadata.clientIp, dict(read.metadata.headers), read.body.value) == (
        payload.type,
        payload.client_ip,
        payload.headers,
        payload.body,
    )


@given(PAYLOADS)
def test_we_read_what_the_protobuf_runtime_writes(payload: Payload) -> None:
    """The generated class of the SDK writes bytes that decode to the same envelope."""
    written = messages.Payload(
        metadata=messages.Metadata(type=payload.type, clientIp=payload.client_ip, headers=payload.headers)
    )
    written.body.value = payload.body
    assert decode(written.SerializeToString()) == payload


@given(st.binary(max_size=64))
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    """Bytes of any kind decode or raise WireError, nothing else."""
    with contextlib.suppress(WireError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [b"\x12\x05abc", b"\x0b", b"\x80", b"\x80" * 11],
    ids=["short field", "group", "short varint", "long varint"],
)
def test_broken_bytes_are_refused(data: bytes) -> None:
    """A message that is cut short or of unknown shape raises WireError."""
    with pytest.raises(WireError):
        decode(data)


def test_unknown_fields_are_skipped() -> None:
    """Fields of all wire types that we do not know leave the known ones readable."""
    unknown = b"\x08\x96\x01" + b"\x21" + b"\x00" * 8 + b"\x2d" + b"\x00" * 4 + b"\x32\x01x"
    assert decode(unknown + encode(Payload("A", b"{}"))) == Payload("A", b"{}")


@given(PAYLOADS)
def test_the_type_is_read_alone(payload: Payload) -> None:
    """Without the body."""
    assert kind_of(encode(payload)) == payload.type


@given(PAYLOADS, st.binary())
def test_another_body_leaves_all_else(payload: Payload, body: bytes) -> None:
    """Type, headers and address stay, and so does a field of a later version."""
    later = b"\x22\x03new" + encode(payload) + b"\x28\x07"
    changed = with_body(later, body)
    assert decode(changed) == Payload(payload.type, body, payload.headers, payload.client_ip)
    assert changed.startswith(b"\x22\x03new")
    assert b"\x28\x07" in changed


def test_an_unreadable_message_has_no_type() -> None:
    """Cut short, it is refused like by `decode`."""
    with pytest.raises(WireError):
        kind_of(b"\x12\x05abc")

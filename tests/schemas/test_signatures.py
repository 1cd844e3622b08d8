"""What is signed of a message, and by whom."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode, urlsafe_b64decode
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import InvalidMessage
from schemas.shipments import Shipment, key_of
from schemas.signatures import (
    check_public,
    digest,
    digest_of,
    fingerprint,
    new_private,
    private_from,
    private_pem,
    public_from,
    public_text,
    sign,
    verified,
)
from tests.schemas.strategies import PATIENT

SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
"""The private key of RFC 8032, section 7.1, test 1; below its public key."""
PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
SIGNED = digest("banstream.events", 3, "web1@5", b"{}")
SIGNATURE = sign(private_from(b64encode(SECRET)), SIGNED)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_the_digest_is_of_five_parts_with_their_lengths() -> None:
    """It is part of the wire contract: domain, topic, partition, key, value, each after its length."""
    parts = (b"banstream: a host ships this", b"banstream.events", b"3", b"web1@5", b"{}")
    assert sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest() == SIGNED


@PATIENT
@given(st.data())
def test_no_two_messages_have_one_digest(data: st.DataObject) -> None:
    """Also where what one part lost the next one has."""
    texts = st.text("ab1", max_size=3)
    messages = st.tuples(texts, st.integers(0, 12), texts, texts.map(str.encode))
    one, other = data.draw(messages), data.draw(messages)
    assert (digest(*one) == digest(*other)) == (one == other)


def test_what_is_signed_of_a_key_is_all_but_the_signature() -> None:
    """The host, the instant, and what it is ahead."""
    shipment = Shipment("web1", 5, 2, SIGNATURE)
    assert digest_of("t", 0, shipment, b"x") == digest("t", 0, key_of(shipment).rpartition("@")[0], b"x")


def test_the_standards_own_key_gives_the_standards_signature() -> None:
    """The first test of RFC 8032, section 7.1, on an empty message."""
    private = private_from(b64encode(SECRET))
    assert public_text(private) == PUBLIC
    expected = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert urlsafe_b64decode(sign(private, b"") + "==") == expected
    assert verified(public_from(PUBLIC), b"", sign(private, b""))


@pytest.mark.parametrize("last", ALPHABET)
def test_one_text_alone_is_a_signature(last: str) -> None:
    """Of the sixteen texts that stand for its bytes only the one that is written is taken."""
    assert verified(public_from(PUBLIC), SIGNED, SIGNATURE[:-1] + last) == (last == SIGNATURE[-1])


@PATIENT
@given(st.text(max_size=100) | st.text(ALPHABET + "+/= \u00e9", min_size=86, max_size=86))
@example("=" * 86)
@example("\ud800" * 86)
@example(SIGNATURE + "=")
@example("A" * 86)
def test_any_other_text_is_no_signature(text: str) -> None:
    """And no error."""
    assert not verified(public_from(PUBLIC), SIGNED, text)


@pytest.mark.parametrize("number", range(0, 32, 5))
def test_another_digest_or_key_is_not_signed(number: int) -> None:
    """A single bit more or less is another; a key that is no point of the curve verifies nothing."""
    other = bytearray(SIGNED)
    other[number] ^= 1
    assert not verified(public_from(PUBLIC), bytes(other), SIGNATURE)
    assert not verified(public_from(public_text(new_private())), SIGNED, SIGNATURE)
    assert not verified(public_from("_" * 42 + "8"), SIGNED, SIGNATURE)


@pytest.mark.parametrize(
    "text", ["", PUBLIC[:-1], PUBLIC + "A", PUBLIC + "=", PUBLIC[:-1] + "p", "\u00e9" * 43]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """One text stands for a key, of 43 characters."""
    with pytest.raises(InvalidMessage, match="43 characters"):
        check_public(text)


def test_a_private_key_comes_back_from_its_file() -> None:
    """As PEM, which other programs read too, and as base64 of either alphabet, with padding or without."""
    private = new_private()
    raw = b64encode(private.private_bytes_raw())
    for file in (
        private_pem(private),
        raw,
        raw.rstrip(b"=") + b"\n",
        raw.translate(bytes.maketrans(b"+/", b"-_")),
    ):
        assert public_text(private_from(file)) == public_text(private)


@pytest.mark.parametrize("file", [b"", b"\xff", b"A" * 42, b"-----BEGIN PRIVATE KEY-----\n", b"-----BEGIN X"])
def test_what_is_no_private_key_says_what_was_expected(file: bytes) -> None:
    """An error of one sentence, whatever the bytes."""
    with pytest.raises(ValueError, match="an Ed25519 private key: PEM without a password, or base64"):
        private_from(file)


def test_keys_of_openssl_are_read(tmp_path: Path) -> None:
    """What `openssl genpkey` writes is a key where it is Ed25519, and none where it is another."""
    for algorithm, good in (("ED25519", True), ("X25519", False)):
        file = tmp_path / algorithm
        subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, "-out", str(file)], check=True)
        if good:
            assert len(public_text(private_from(file.read_bytes()))) == len(PUBLIC)
        else:
            with pytest.raises(ValueError, match="an Ed25519 private key"):
                private_from(file.read_bytes())


def test_a_fingerprint_is_short_enough_to_compare() -> None:
    """Half of the SHA-256 of the key's bytes, in groups."""
    assert fingerprint(PUBLIC).replace("-", "") == sha256(check_public(PUBLIC)).hexdigest()[:32]
    assert len(fingerprint(PUBLIC)) == 39


def test_who_needs_no_signature_loads_no_library() -> None:
    """Hosts are enrolled, and unsigned messages admitted, without `cryptography`; it is asked for by name."""
    script = """
import sys
sys.modules["cryptography"] = None
import streams.fold
from eventlog.contract import Message
from schemas.errors import ConfigError
from schemas.records import Command
from streams.hosts import Hosts
hosts = Hosts()
hosts.enroll(Command(id="1", verb="enroll", at_ms=1, who="ann", host="web1", public_key=sys.argv[1]), 1)
assert hosts.admit(Message(0, 0, "web2@5", b"", 1)).refusal is None
try:
    hosts.admit(Message(0, 0, "web1@5@" + "A" * 86, b"", 1))
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script, PUBLIC], capture_output=True, text=True, check=True)
    assert (
        done.stdout == "a signature needs the Python package 'cryptography': pip install 'banstream[kafka]'\n"
    )

"""What a host signs of its messages: Ed25519 (RFC 8032) over one digest of the message and its place.

The digest is the SHA-256 of five parts, each after its length in bytes (64 bits, big-endian): DOMAIN, the
topic's name (a cluster's prefix is no part of it), the partition in decimal, the key without its signature,
the value. So a message counts where it was sent to, as it was sent, in its host's order, and nowhere else.

Keys and signatures are base64url without padding (RFC 4648, section 5): 43 and 86 characters, and of several
texts that stand for the same bytes only the one that is written here is read.

`cryptography` is imported by the first who signs or verifies; on one machine nobody does.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from functools import cache
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from schemas.errors import ConfigError, InvalidMessage
from schemas.shipments import SIGNATURE_CHARACTERS, Shipment, key_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DOMAIN: Final = b"banstream: a host ships this"
KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_PEM: Final = b"-----BEGIN"


def digest(topic: str, partition: int, key: str, value: bytes) -> bytes:
    """What is signed of a message: its topic, its partition, its key without the signature, its value."""
    hashed = sha256()
    for part in (DOMAIN, topic.encode(), b"%d" % partition, key.encode(), value):
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.digest()


def digest_of(topic: str, partition: int, shipment: Shipment, value: bytes) -> bytes:
    """What is, or was to be, signed of a message of this shipment."""
    return digest(topic, partition, key_of(shipment._replace(signature=None)), value)


def sign(private: Ed25519PrivateKey, digested: bytes) -> str:
    """The signature of a digest."""
    return _text(private.sign(digested))


def signed_key(
    private: Ed25519PrivateKey, topic: str, partition: int, shipment: Shipment, value: bytes
) -> str:
    """The key of a message of this shipment, with the signature."""
    signature = sign(private, digest_of(topic, partition, shipment, value))
    return key_of(shipment._replace(signature=signature))


def verified(public: Ed25519PublicKey, digested: bytes, signature: str) -> bool:
    """Whether this is the signature of a digest by the owner of a public key, whatever the text."""
    raw = _bytes(signature, _SIGNATURE_BYTES) if len(signature) == SIGNATURE_CHARACTERS else None
    if raw is None:
        return False
    try:
        public.verify(raw, digested)
    except _library().exceptions.InvalidSignature:
        return False
    return True


def new_private() -> Ed25519PrivateKey:
    """A new private key. Raises ConfigError where `cryptography` is missing."""
    private: Ed25519PrivateKey = _library().ed25519.Ed25519PrivateKey.generate()
    return private


def private_from(file: bytes) -> Ed25519PrivateKey:
    """The private key in a file: PEM (PKCS #8, as `openssl genpkey` writes it), or base64 of its 32 bytes.

    Raises ValueError with what was expected.
    """
    library = _library()
    try:
        if file.lstrip().startswith(_PEM):
            private = library.serialization.load_pem_private_key(file, password=None)
        else:
            text = file.strip().rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
            raw = b64decode(text + b"=", validate=True)
            private = library.ed25519.Ed25519PrivateKey.from_private_bytes(raw)
    except (ValueError, TypeError, library.exceptions.UnsupportedAlgorithm):
        private = None
    if not isinstance(private, library.ed25519.Ed25519PrivateKey):
        expected = "an Ed25519 private key: PEM without a password, or base64 of its 32 bytes"
        raise ValueError(expected)  # noqa: TRY004 - it is the file's content
    return cast("Ed25519PrivateKey", private)


def private_pem(private: Ed25519PrivateKey) -> bytes:
    """A private key as PEM, for a file."""
    forms = _library().serialization
    pem: bytes = private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    return pem


def public_text(private: Ed25519PrivateKey) -> str:
    """The public half of a private key, as text."""
    return _text(private.public_key().public_bytes_raw())


def check_public(text: str) -> bytes:
    """The 32 bytes of a public key; InvalidMessage where a text is none."""
    raw = _bytes(text, KEY_BYTES)
    if raw is None:
        raise InvalidMessage(f"expected 43 characters of base64url, not {text!r:.80}", field="public_key")
    return raw


def public_from(text: str) -> Ed25519PublicKey:
    """A public key from its text; raises InvalidMessage, and ConfigError where `cryptography` is missing."""
    public: Ed25519PublicKey = _library().ed25519.Ed25519PublicKey.from_public_bytes(check_public(text))
    return public


def fingerprint(public: str) -> str:
    """What two people compare of a public key's text: 128 bits of its SHA-256, in groups of four digits."""
    digits = sha256(check_public(public)).hexdigest()[:32]
    return "-".join(digits[first : first + 4] for first in range(0, 32, 4))


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _bytes(text: str, size: int) -> bytes | None:
    """The bytes of a text that `_text` wrote; None for any other, also one that is read as the same bytes."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, NotBase64):
        return None
    return raw if len(raw) == size and _text(raw) == text else None


@cache
def _library() -> Any:
    """What is needed of `cryptography`; ConfigError where it is missing."""
    try:
        from cryptography import exceptions  # noqa: PLC0415 - 9 MB, for who signs or verifies
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a signature needs the Python package 'cryptography': pip install 'banstream[kafka]'"
        ) from error
    return SimpleNamespace(ed25519=ed25519, exceptions=exceptions, serialization=serialization)

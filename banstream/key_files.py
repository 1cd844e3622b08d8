"""Private keys in files: made for their owner alone, and read from nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final

from schemas.errors import ConfigError
from schemas.signatures import new_private, private_from, private_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MOST_BYTES: Final = 4_096
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""Names the directory into which systemd puts what `LoadCredential=` names (systemd.exec(5)). Whom it is for
may read it by an access list, which shows in the mode as the group's right (acl(5))."""


def make_key(path: Path) -> Ed25519PrivateKey:
    """A new private key, in a new file that nobody but its owner may read. Raises ConfigError."""
    private = new_private()
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:64]}.") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(private_pem(private))
            file.flush()
            os.fsync(file.fileno())
            os.link(file.name, path)  # whole, or not at all; and never over another
    except FileExistsError as error:
        raise ConfigError(
            f"{path}: is there already, and a key is never overwritten; name another"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made ({error.strerror}); name another file") from error
    return private


def key_in(path: Path, named: str) -> Ed25519PrivateKey:
    """The private key in a file, made where there is none. Raises ConfigError; `named`: as for `read_key`."""
    return read_key(path, named) if os.path.lexists(path) else make_key(path)


def read_key(path: Path, named: str) -> Ed25519PrivateKey:
    """The private key in a file. Raises ConfigError; `named`: what in the configuration names the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(
            f"{named} = {path}: cannot be read ({error.strerror}); `banstream hosts key` makes one"
        ) from error
    try:
        if problem := _problem(path, os.fstat(descriptor)):
            raise ConfigError(f"{named} = {path}: {problem}")
        return private_from(os.read(descriptor, MOST_BYTES))
    except (ValueError, OSError) as error:
        raise ConfigError(f"{named} = {path}: expected {error}") from error
    finally:
        os.close(descriptor)


def _problem(path: Path, state: os.stat_result) -> str | None:
    """What keeps a file from holding a secret, and what to do; None where nothing does."""
    if not stat.S_ISREG(state.st_mode):
        return "is no regular file; name one"
    if state.st_uid not in {0, os.geteuid()}:
        return f"belongs to another user (uid {state.st_uid}), who could ship as this host; chown it"
    handed_over = str(path.parent) == os.environ.get(CREDENTIALS)
    others = stat.S_IRWXO | (stat.S_IWGRP if handed_over else stat.S_IRWXG)
    if state.st_mode & others:
        mode = stat.S_IMODE(state.st_mode)
        return f"others may read or write it (mode {mode:04o}), and could ship as this host; chmod 600 {path}"
    return None

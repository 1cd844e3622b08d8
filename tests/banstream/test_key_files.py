"""Private keys in files: nobody else's, and never overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from banstream.key_files import make_key, read_key
from schemas.errors import ConfigError
from schemas.signatures import public_text


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_a_key_is_made_for_its_owner_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask; and it is read again."""
    file = tmp_path / "host.key"
    before = os.umask(umask)
    try:
        private = make_key(file)
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert public_text(read_key(file, "ship.key_file")) == public_text(private)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """Nor a file that is none, nor what a link names; the error says so."""
    file, link = tmp_path / "host.key", tmp_path / "link"
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for path in (file, link):
        with pytest.raises(ConfigError, match="never overwritten; name another"):
            make_key(path)
    assert file.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(ConfigError, match="No such file or directory"):
        make_key(tmp_path / "no" / "host.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The error names the key of the configuration, the file, its mode, and what to do."""
    file = tmp_path / "host.key"
    make_key(file)
    file.chmod(mode)
    with pytest.raises(
        ConfigError, match=rf"^ship.key_file = {file}: others .* \(mode {mode:04o}\).*; chmod 600"
    ):
        read_key(file, "ship.key_file")


@pytest.mark.parametrize(("mode", "good"), [(0o440, True), (0o460, False), (0o444, False)])
def test_what_systemd_hands_over_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, *, good: bool
) -> None:
    """There the group's right to read is the mask of an access list; elsewhere it is the group's."""
    file = tmp_path / "key"
    make_key(file)
    file.chmod(mode)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    if good:
        read_key(file, "ship.key_file")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match="others may read or write it"):
        read_key(file, "ship.key_file")


def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    """He could change it; root's own is fine, since systemd's are."""
    file = tmp_path / "host.key"
    make_key(file)
    os.chown(file, 65_534, 65_534)
    with pytest.raises(ConfigError, match=r"belongs to another user \(uid 65534\)"):
        read_key(file, "ship.key_file")


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    """Another text, no file, a directory, or a pipe that nobody writes to: an error, and no waiting."""
    file, pipe = tmp_path / "host.key", tmp_path / "pipe"
    file.touch(0o600)
    os.mkfifo(pipe, 0o600)
    for path, said in (
        (file, "expected an Ed25519 private key"),
        (tmp_path / "none", "banstream hosts key"),
        (tmp_path, "no regular file"),
        (pipe, "no regular file"),
    ):
        with pytest.raises(ConfigError, match=said):
            read_key(path, "ship.key_file")

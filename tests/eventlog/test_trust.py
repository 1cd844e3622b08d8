"""Which files are believed, by root and by another user, and what a person is told of the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventlog.trust import doubt

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")

NOBODY = 65_534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of root's below /tmp that everybody may enter."""
    made = Path(tempfile.mkdtemp(prefix="banstream-trust-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def file(folder: Path) -> Path:
    """A file of root's in it."""
    made = folder / "banstream.toml"
    made.touch(0o644)
    made.chmod(0o644)
    return made


@contextmanager
def user(number: int) -> Iterator[None]:
    """Be another user for a while."""
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


def said(path: Path, *, found: bool = False, secret: bool = False) -> str:
    """Why a file is not believed."""
    why = doubt(path, found=found, secret=secret)
    assert why is not None
    return why


def test_a_file_of_roots_in_a_folder_of_roots_is_believed(file: Path) -> None:
    """By root and by everybody else, named or found: nobody else can have written it."""
    assert doubt(file) is doubt(file, found=True) is None
    with user(NOBODY):
        assert doubt(file) is None


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o664])
def test_what_others_can_write_is_not(file: Path, mode: int) -> None:
    """It is told with its mode, and the command that mends it."""
    file.chmod(mode)
    assert said(file) == (
        f"others can write to {file} (mode 0{mode:o}); if you trust what is in it: chmod go-w {file}"
    )


def test_what_belongs_to_another_is_not(file: Path) -> None:
    """Whoever owns a file writes in it when he likes; he himself believes it, and root's, not a third's."""
    os.chown(file, NOBODY, -1)
    assert "belongs to nobody" in said(file)
    assert f"chown root {file}" in said(file)
    with user(NOBODY):
        assert doubt(file) is None
    with user(12_345):
        assert "so nobody decides what user 12345 would believe" in said(file)


def test_every_folder_above_counts(file: Path, folder: Path) -> None:
    """Who may write in a folder, or owns it, may put another file there."""
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    deep = Path(shutil.copy(file, deep))
    folder.chmod(0o777)
    assert f"others can write to its folder {folder} (mode 0777)" in said(deep)
    folder.chmod(0o755)
    os.chown(folder / "a", NOBODY, -1)
    assert f"{folder}/a belongs to nobody" in said(deep)
    assert "move the file" in said(deep)


def test_in_a_sticky_folder_what_is_named_is_believed_and_what_is_found_is_not(
    file: Path, folder: Path
) -> None:
    """In /tmp nobody replaces root's file; but what nobody named, anybody could have linked there."""
    folder.chmod(0o1777)
    assert doubt(file) is None
    assert said(file, found=True) == (
        f"anybody can put files into {folder}; if you trust this one, name it with --config"
    )
    below = folder / "own"
    below.mkdir()
    below.chmod(0o755)
    assert doubt(Path(shutil.copy(file, below)), found=True) is None


def test_a_link_is_as_good_as_all_that_it_leads_through(file: Path, folder: Path) -> None:
    """The kernel goes the whole way, and so does the look: relative links, links to links, loops."""
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "first").symlink_to("open/../second")
    (folder / "second").symlink_to(file)
    assert f"its folder {folder}/open" in said(folder / "first")
    (folder / "open").chmod(0o755)
    assert doubt(folder / "first") is None
    os.chown(folder / "second", NOBODY, -1, follow_symlinks=False)
    assert f"{folder}/second belongs to nobody" in said(folder / "first")
    (folder / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        doubt(folder / "loop")


def test_a_relative_path_is_looked_at_from_the_root_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory's folders count, too."""
    monkeypatch.chdir(file.parent)
    assert doubt(Path(file.name)) is None
    os.chown(file.parent, NOBODY, -1)
    assert f"{file.parent} belongs to nobody" in said(Path(file.name))


def test_a_secret_is_not_everybodys_to_read(file: Path) -> None:
    """A group may read it: that is how a daemon that is not root does."""
    assert f"everybody can read {file} (mode 0644)" in said(file, secret=True)
    assert f"chmod o-r {file}" in said(file, secret=True)
    file.chmod(0o640)
    assert doubt(file, secret=True) is None


def test_a_users_own_group_is_he_himself(file: Path) -> None:
    """Where each user has a group of his own, a new file of his is writable for it; root's never is."""
    os.chown(file, NOBODY, NOBODY)
    file.chmod(0o664)
    with user(NOBODY):
        assert doubt(file) is None
    os.chown(file, 0, 0)
    assert "others can write" in said(file)


def test_another_may_be_believed_by_name(file: Path) -> None:
    """The event log is its role's, and root reads it all the same."""
    os.chown(file, NOBODY, -1)
    assert doubt(file, also=NOBODY) is None


def test_what_is_not_there_is_the_readers_to_tell(folder: Path) -> None:
    """As when it is opened: FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        doubt(folder / "nosuch")


def test_a_pipe_of_the_shells_is_believed() -> None:
    """`--diff <(sed ...)` gives a descriptor, not a place where others write."""
    read, write = os.pipe()
    try:
        assert doubt(Path(f"/dev/fd/{read}")) is None
    finally:
        os.close(read)
        os.close(write)


def test_what_root_mounted_for_itself_is_believed_whoever_owns_it_outside(file: Path, folder: Path) -> None:
    """A container is given its configuration so, read-only; mounted to be written it is looked at as any."""
    theirs = folder / "a clone's.toml"
    theirs.write_text("")
    os.chown(theirs, NOBODY, -1)
    file = file.rename(folder / "with blank.toml")
    subprocess.run(["mount", "--bind", theirs, file], check=True)
    try:
        assert "belongs to nobody" in said(file)
        subprocess.run(["mount", "-o", "remount,ro,bind", file], check=True)
        assert doubt(file) is None
        assert "belongs to nobody" in said(file, found=True)
        folder.chmod(0o777)
        assert "others can write to its folder" in said(file)
    finally:
        subprocess.run(["umount", file], check=True)


def test_what_systemd_hands_to_a_service_is_believed_by_root_too(folder: Path) -> None:
    """Credentials lie in a read-only mount of their own, and are the service's user's (systemd.exec(5))."""
    mount = folder / "banstream-ship.service"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=500,uid=65534", "tmpfs", mount], check=True)
    try:
        secret = mount / "password"
        secret.write_text("s3cret")
        secret.chmod(0o400)
        os.chown(secret, NOBODY, -1)
        assert "belongs to nobody" in said(secret, secret=True)
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        assert doubt(secret, secret=True) is None
    finally:
        subprocess.run(["umount", mount], check=True)

"""Which configuration is found, which is passed over, and which is refused."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from banstream.config import load_settings
from banstream.locating import SYSTEM_FILE, locate
from schemas.errors import ConfigError
from tests.banstream.service import Service

NOBODY = 65_534
JAIL = '[jail.sshd]\nsource = "stdin"\n'
THEIRS = '[log]\nurl = "kafka://198.51.100.7?user=x&tls=off&password_file=/root/only"\n'


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory: another user's, with a configuration of his."""
    made = Path(tempfile.mkdtemp(prefix="banstream-locate-"))
    (made / "banstream.toml").write_text(THEIRS, encoding="utf-8")
    for path in (made, made / "banstream.toml"):
        path.chmod(0o755)
        os.chown(path, NOBODY, NOBODY)
    monkeypatch.chdir(made)
    yield made
    shutil.rmtree(made)


def test_root_passes_over_what_another_left_in_the_working_directory(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said which file, whose, and that it is passed over; the command goes on with the system's."""
    assert locate(None)[:1] == ([SYSTEM_FILE] if SYSTEM_FILE.exists() else [])
    assert f"passed over, since it cannot be trusted file={folder}/banstream.toml" in caplog.text
    assert "belongs to nobody" in caplog.text


def test_roots_own_in_a_folder_of_everybodys_is_passed_over_too(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In /tmp anybody may have moved a file of root's to that name; named, the same file is read."""
    file = folder / "banstream.toml"
    file.write_text(JAIL, encoding="utf-8")
    for path in (folder, file):
        os.chown(path, 0, 0)
    folder.chmod(0o1777)
    assert file not in [path.absolute() for path in locate(None)]
    assert "name it with --config" in caplog.text
    assert load_settings(str(file)).files == (str(file),)


def test_a_command_in_a_hostile_directory_reads_nothing_of_it(folder: Path) -> None:
    """`banstream bans` there neither reads the file nor ends by it, and says why on stderr."""
    if SYSTEM_FILE.exists():
        pytest.skip("this machine has a configuration of its own")
    done = Service(folder).run("config", "show")
    assert "198.51.100.7" not in done.stdout
    assert "passed over, since it cannot be trusted" in done.stderr
    assert "belongs to nobody" in done.stderr


def test_what_a_directory_is_called_steers_no_terminal(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is the attacker's choice as well."""
    (folder / "\x1b]0;x\x07").mkdir()
    shutil.copy(folder / "banstream.toml", folder / "\x1b]0;x\x07")
    monkeypatch.chdir(folder / "\x1b]0;x\x07")
    locate(None)
    assert "\\x1b]0;x\\x07" in caplog.text
    assert "\x1b" not in caplog.text


def test_ones_own_in_ones_own_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its `conf.d`, in the order of the names."""
    monkeypatch.chdir(tmp_path)
    for name in ("banstream.toml", "conf.d/20.toml", "conf.d/10.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(JAIL, encoding="utf-8")
    assert load_settings(None).files == ("banstream.toml", "conf.d/10.toml", "conf.d/20.toml")


def test_what_is_named_and_not_to_be_trusted_is_refused(folder: Path) -> None:
    """`--config` of another's file is exit code 2, with what to do about it."""
    file = folder / "banstream.toml"
    done = Service(folder).run("config", "check", "--config", str(file), code=2)
    assert f"{file}: not read, since it cannot be trusted: {folder} belongs to nobody" in done.stderr
    os.chown(folder, 0, 0)
    with pytest.raises(ConfigError, match=f"chown root {file}"):
        load_settings(str(file))
    os.chown(file, 0, 0)
    file.write_text(JAIL, encoding="utf-8")
    load_settings(str(file))


def test_each_file_of_conf_d_is_looked_at(tmp_path: Path) -> None:
    """One that others can write is refused, with the command that mends it; nothing of it holds."""
    file, more = tmp_path / "banstream.toml", tmp_path / "conf.d" / "x.toml"
    more.parent.mkdir()
    file.write_text(JAIL, encoding="utf-8")
    more.write_text('[enforcer]\nnever_ban = ["0.0.0.0/0"]\n', encoding="utf-8")
    more.chmod(0o666)
    with pytest.raises(ConfigError, match=rf"{more}: not read.*mode 0666.*chmod go-w {more}") as refused:
        load_settings(str(file))
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize("name", ["own.toml", "own.conf", "own.local"])
def test_a_filter_that_others_can_write_is_refused(tmp_path: Path, name: str) -> None:
    """A native one, and every file that one of fail2ban's is read from."""
    (tmp_path / "own.conf").write_text("[Definition]\nfailregex = ^x <HOST>$\n", encoding="utf-8")
    (tmp_path / name).touch()
    (tmp_path / name).chmod(0o602)
    wanted = tmp_path / ("own.toml" if name == "own.toml" else "own.conf")
    file = tmp_path / "banstream.toml"
    file.write_text(f'[jail.own]\nfilter = "{wanted}"\nsource = "stdin"\n', encoding="utf-8")
    with pytest.raises(
        ConfigError, match=rf"own\.filter = .*others can write to {tmp_path / name} \(mode 0602"
    ):
        load_settings(str(file), check="filters")
    (tmp_path / name).chmod(0o600)
    if name != "own.toml":
        load_settings(str(file), check="filters")


def test_a_filter_that_is_not_there_is_told_as_before(tmp_path: Path) -> None:
    """Its path, and that there is no such file."""
    file = tmp_path / "banstream.toml"
    file.write_text(f'[jail.own]\nfilter = "{tmp_path}/no.toml"\nsource = "stdin"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{tmp_path}/no\.toml: No such file"):
        load_settings(str(file), check="filters")


BROKEN = {
    "a wrong value": '[log]\nurl = "sqlite:{log}"\n[jail.sshd]\nmaxretry = "three"\n',
    "an unknown key": '[log]\nurl = "sqlite:{log}"\n[jail.sshd]\nlogpath = "/var/log/auth.log"\n',
    "no TOML after it": '[log]\nurl = "sqlite:{log}"\n[jail.sshd]\nmaxretry = = 3\n',
    "no TOML before it": '[jail.sshd\nports = ["ssh\n[log]\nurl = "sqlite:{log}"\n',
    "a table twice": '[jail.sshd]\n[jail.sshd]\n[log]\nurl = "sqlite:{log}"\n',
    "dotted": 'log.url = "sqlite:{log}"\n[jail.sshd]\nignoreip = [1\n',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_who_needs_the_log_alone_goes_on_with_a_broken_file(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong is said, and is an error for everybody else."""
    file = tmp_path / "banstream.toml"
    file.write_text(text.replace("{log}", f"{tmp_path}/log.db"), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(str(file), check="names")
    assert load_settings(str(file), check="log").log_url == f"sqlite:{tmp_path}/log.db"
    for problem in refused.value.problems:
        assert f"going on with its log alone problem={problem}" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        '[log]\nurl = "nowhere"\n',
        "[log]\nurl = = 3\n[jail.sshd]\n",
        '["log"]\nurl = = 3\n',
        "log.url = 3 4\n",
        'log = { url = "sqlite:x.db" \n',
        "[log]\nurrl = 'sqlite:x.db'\n",
    ],
)
def test_nobody_goes_on_with_a_log_that_was_not_meant(text: str, tmp_path: Path) -> None:
    """Where the log itself is what is wrong, the usual one would be another's."""
    file = tmp_path / "banstream.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_settings(str(file), check="log")


def test_a_file_that_is_not_to_be_trusted_is_refused_by_everybody(folder: Path) -> None:
    """Also by those who need the log alone."""
    with pytest.raises(ConfigError, match="cannot be trusted"):
        load_settings(str(folder / "banstream.toml"), check="log")

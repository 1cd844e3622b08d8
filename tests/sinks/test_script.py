"""A program for each item: what it is given, how it may end, and that nothing gets into it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from schemas.errors import Transient
from schemas.records import Record
from sinks.contract import TAKEN, Background, Reception
from tests.sinks.following import ban, failed
from tests.sinks.hostile import hostile_text
from tests.sinks.sending import doubt, sending, transport

TELLING = """#!/usr/bin/python3 -I
import json, os, sys
told = {"arguments": sys.argv[1:], "environment": dict(os.environ), "given": sys.stdin.read()}
with open(os.path.dirname(os.path.abspath(sys.argv[0])) + "/told", "a") as file:
    file.write(json.dumps(told) + "\\n")
"""


def script(folder: Path, text: str = TELLING) -> str:
    """A program in a folder that nobody else can write to."""
    folder.chmod(0o700)
    path = folder / "program"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def told(folder: Path) -> list[dict[str, Any]]:
    """What the program was given so far."""
    return [json.loads(line) for line in (folder / "told").read_text().splitlines()]


def test_it_has_the_tags_of_fail2ban(tmp_path: Path) -> None:
    """As arguments where the command names them, all in the environment, and the item on its input."""
    command = (script(tmp_path), "<ip>", "<name>: <failures>/<bancount>", "<bantime>", "<F-USER>", "<family>")
    known = Background(1, ("root",), lines=("one", "two"))
    made = transport("script:", command=command)
    assert made.send([sending(ban(), known=known)]) == [TAKEN]
    (found,) = told(tmp_path)
    assert found["arguments"] == ["203.0.113.7", "sshd: 5/2", "3600", "root", "inet4"]
    assert found["environment"]["BANSTREAM_MATCHES"] == "one\ntwo"
    assert found["environment"]["BANSTREAM_HAPPENING"] == "ban"
    assert found["environment"]["BANSTREAM_ID"] == "q7x2kd3m-0-0-0-0"
    assert json.loads(found["given"])["prefix"] == "203.0.113.7"
    assert set(found["environment"]) <= {"PATH", "LANG", "LC_CTYPE", "TZ"} | {
        name for name in found["environment"] if name.startswith("BANSTREAM_")
    }


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=hostile_text)
def test_whatever_is_in_a_users_name_it_is_one_argument_and_no_option(tmp_path: Path, text: str) -> None:
    """No shell, no line break, no option, no second look for tags; the environment has it as it is."""
    (tmp_path / "told").unlink(missing_ok=True)
    made = transport("script:", command=(script(tmp_path), "<user>", "a<user>b", "<line>"))
    made.send([sending(failed(user=text, line=text))])
    (found,) = told(tmp_path)
    alone, within, line = found["arguments"]
    assert within == f"a{alone if not text.startswith('-') else '-' + alone[4:]}b" or text.startswith("-")
    assert all(each.isprintable() and not each.startswith("-") for each in (alone, line))
    assert found["environment"]["BANSTREAM_USER"] == text.replace("\0", "")


def test_exit_75_is_later_and_anything_else_so_many_times(tmp_path: Path) -> None:
    """Then it is hopeless, with what the program said."""
    later = transport("script:", command=(script(tmp_path, "#!/bin/sh\nexit 75\n"),))
    for _ in range(5):
        (answer,) = later.send([sending(ban())])
        assert answer.reception is Reception.AGAIN
    text = "#!/bin/sh\nprintf 'no such set\\033[31m' >&2\nexit 3\n"
    never = transport("script:", command=(script(tmp_path, text),), tries=2)
    first, second = (never.send([sending(ban())])[0] for _ in range(2))
    assert (first.reception, second.reception) == (Reception.AGAIN, Reception.HOPELESS)
    assert second.said.endswith("exit code 3: no such set\\x1b[31m")


def test_one_that_does_not_end_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    """After its time, the whole process group."""
    mark = f"{time.time():.6f}"
    program = script(tmp_path, f"#!/bin/sh\nsleep 1{mark} & sleep 1{mark}\n")
    made = transport("script:", command=(program,), timeout=300, tries=1)
    (answer,) = made.send([sending(ban())])
    assert (answer.reception, answer.said) == (Reception.HOPELESS, f"{program}: not done within 0.3 s")
    time.sleep(0.1)
    assert not any(mark.encode() in _read(each / "cmdline") for each in Path("/proc").glob("[0-9]*"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_so_many_run_at_once_and_of_one_address_one(tmp_path: Path) -> None:
    """The batch is handed over in parts, in order."""
    made = transport("script:", command=(script(tmp_path, "#!/bin/sh\nsleep 0.3\n"),), parallel=4)
    records: list[Record] = [
        ban(1, "192.0.2.1"),
        ban(2, "192.0.2.2"),
        ban(3, "192.0.2.3"),
        ban(4, "192.0.2.2"),
    ]
    began = time.monotonic()
    assert made.send(list(map(sending, records))) == [TAKEN] * 3
    assert time.monotonic() - began < 0.8


def test_a_program_that_is_not_there_or_is_anybodys_is_not_run(tmp_path: Path) -> None:
    """It is said, and tried again: nothing is lost by a mistake in an installation."""
    with pytest.raises(Transient, match="No such file"):
        transport("script:", command=(str(tmp_path / "none"),)).send([sending(ban())])
    program = script(tmp_path)
    Path(program).chmod(0o777)
    with pytest.raises(Transient, match="others can write"):
        transport("script:", command=(program,)).send([sending(ban())])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "with command ="),
        ({"command": ("ipset", "<ip>")}, "with command ="),
        ({"command": ("/sbin/ipset", "<ipp>")}, "tags that are known, not <ipp>; there are ip, "),
        ({"command": ("/sbin/ipset",), "parallel": 1_000}, "parallel up to 64"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(options: dict[str, Any], said: str) -> None:
    """Before it starts."""
    assert said in (doubt("script:", **options) or "")


@pytest.mark.parametrize("character", ["\x1b", "\N{PILE OF POO}"])
def test_no_line_is_too_long_for_a_program(tmp_path: Path, character: str) -> None:
    """Who writes long lines stops no sink: an argument is cut where the kernel would refuse it."""
    known = Background(1, ("root",), lines=(character * 4_096,) * 10)
    made = transport("script:", command=(script(tmp_path), "<matches>", "<matches>"))
    assert made.send([sending(ban(), known=known)]) == [TAKEN]
    (found,) = told(tmp_path)
    assert 10_000 < len(found["arguments"][0].encode()) < 128 << 10

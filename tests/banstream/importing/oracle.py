"""What fail2ban itself makes of a configuration: Debian's package, asked for the commands it would run."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from tests.banstream.service import eventually
from tests.producers.filters.fail2ban.oracle import PYTHON

STOCK: Final = Path("/etc/fail2ban")


def stock(folder: Path, **files: str) -> Path:
    """Debian's own configuration in a folder, with more files; `__` in a name is a slash, `_` a dot."""
    made = folder / "fail2ban"
    shutil.copytree(STOCK, made)
    for name, text in files.items():
        path = made / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return made


def dumped(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """By jail that it would start: by key, the values that it sets."""
    done = subprocess.run(
        ["fail2ban-client", "-c", str(folder), "-d"], capture_output=True, text=True, check=True
    )
    found: dict[str, dict[str, list[Any]]] = {}
    for line in done.stdout.splitlines():
        match ast.literal_eval(line):
            case ["add", name, _]:
                found[name] = defaultdict(list)
            case ["set", name, key, *values] if name in found:
                found[name][key] += values
    return found


def spans(texts: list[str]) -> list[float]:
    """The seconds that its own code reads in times."""
    code = (
        "import json, sys; from fail2ban.server.mytime import MyTime; "
        "print(json.dumps([MyTime.str2seconds(each) for each in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [PYTHON, "-c", code], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    seconds: list[float] = json.loads(done.stdout)
    return seconds


class Server:
    """fail2ban's own server in a folder, with jails that do nothing to a firewall."""

    def __init__(self, folder: Path, jails: str) -> None:
        """Start it on these jails."""
        self.folder = folder
        self.config = stock(
            folder,
            jail_d__own_local=f"[DEFAULT]\naction =\n{jails}",
            fail2ban_local=f"[DEFAULT]\ndbfile = {self.database}\nlogtarget = {folder}/fail2ban.log\n",
        )
        self._process = subprocess.Popen(
            ["fail2ban-server", *self._where, "-f", "start"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: self.ask("ping", code=None).returncode == 0, "fail2ban answers")

    @property
    def database(self) -> Path:
        """Where it keeps its bans."""
        return self.folder / "fail2ban.sqlite3"

    def ask(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """What its own client says."""
        done = subprocess.run(
            ["fail2ban-client", *self._where, *words], capture_output=True, text=True, check=False
        )
        assert code in {None, done.returncode}, done
        return done

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)

    @property
    def _where(self) -> list[str]:
        folder = self.folder
        return ["-c", str(self.config), "-s", f"{folder}/sock", "-p", f"{folder}/pid"]

"""What a jail of fail2ban's says of when it bans, for how long and whom never, in our keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from banstream import values
from banstream.importing.arguments import arguments_of
from banstream.importing.drafts import LOOPBACK, Keys, toml_value
from banstream.importing.installation import Installation, is_true
from banstream.importing.remarks import Fate, Remark
from banstream.importing.spans import seconds
from banstream.lists.wanted import ignored
from producers.filters.fail2ban.files import DEFAULT
from producers.filters.fail2ban.instants import minutes_east
from schemas.bounds import MOST_RETRY
from schemas.durations import format_duration, parse_duration
from schemas.formulas import parse_formula

DOUBLING: Final = frozenset(
    {"ban.time*(1<<(ban.countifban.count<20else20))*banfactor", "ban.time*(1<<min(ban.count,20))*banfactor"}
)
"""fail2ban's own formula, without its blanks: what bans that grow have here, too."""
INCREMENT: Final = "bantime.increment"
PURGE: Final = "dbpurgeage"
PURGE_AGE: Final = "1d"
FOREVER_S: Final = -1
CODE_MAXRETRY: Final = 3
"""What fail2ban's code has where no file says (row `maxretry` of jail.conf(5) is jail.conf's own 5)."""
NO_COUNTERPART: Final[dict[str, str]] = {
    "maxmatches": "every failure that counted is kept, in the log",
    "ignorecache": "a command's answer is remembered for five minutes",
    "logencoding": "UTF-8 is read, and whatever else is there",
    "skip_if_nologs": "a jail waits for a file that is not there",
}
WINDOW: Final = 'window = "fail2ban": failures are estimated, and known offenders weighed, as there'
COMMAND: Final = "ignorecommand"


def policy_of(installation: Installation, jail: str) -> tuple[Keys, list[Remark]]:
    """A jail's policy, or [DEFAULT]'s: what holds, and what became of the keys in its own section."""
    made = _Policy(installation, jail)
    made.read()
    return made.keys, made.remarks


@dataclass(slots=True)
class _Policy:
    installation: Installation
    jail: str
    keys: Keys = field(default_factory=dict[str, object])
    remarks: list[Remark] = field(default_factory=list[Remark])

    def read(self) -> None:
        """Each key in turn."""
        self._take("findtime", self._findtime)
        self._take("maxretry", _number)
        self._take("bantime", self._bantime)
        self._take("ignoreip", self._ignoreip)
        self._take("usedns", self._usedns)
        self._take("logtimezone", self._timezone)
        self.keys.setdefault("maxretry", CODE_MAXRETRY)
        if self.jail == DEFAULT:
            self.keys["window"] = "fail2ban"
            self.remarks.append(Remark(verdict="translated", jail="", key="findtime", said=WINDOW))
        self._grow()
        for key, said in NO_COUNTERPART.items():
            self._say("none", key, said)
        if self._own(COMMAND):
            self._command()
        if self._is_no("ignoreself"):
            self.keys["ignoreself"] = False
            self._say("translated", "ignoreself", "ignoreself = false; the firewall never has own addresses")

    def _command(self) -> None:
        """A command whom to spare; a jail of its own that nothing here can ask is off."""
        try:
            self.keys[COMMAND] = arguments = arguments_of(self.installation.value(self.jail, COMMAND) or "")
        except ValueError as error:
            no_command = f"{error}; name whom it spares in ignoreip, or `banstream allow ADDRESS`"
            if self.jail == DEFAULT:
                self._say("otherwise", COMMAND, f"{no_command}: whom only the command spared is banned")
                return
            self.keys["enabled"] = False
            self._say("lost", COMMAND, f"{no_command}: the jail is off until `enabled = false` is taken out")
            return
        said = "run by whoever reads the log, as that user, for each address that fails; kept for 5 minutes"
        self._say("translated", COMMAND, f"{COMMAND} = {toml_value(arguments)}: {said}")

    def _take(self, key: str, read: Callable[[str], Keys]) -> None:
        """A key that may be wrong: fail2ban's own default holds then, there as here."""
        value = self.installation.value(self.jail, key)
        if not value:
            return
        try:
            found = read(value)
        except ValueError as error:
            self._say("otherwise", key, f"{value[:60]!r} is not understood (expected {error}), and left out")
            return
        self.keys |= found
        for name, each in found.items():
            self._say("translated", key, f"{name} = {toml_value(each)}")

    def _findtime(self, value: str) -> Keys:
        return {"findtime": _span(value)}

    def _bantime(self, value: str) -> Keys:
        return {"bantime": -1 if seconds(value) == FOREVER_S else _span(value)}

    def _ignoreip(self, value: str) -> Keys:
        words = value.replace(",", " ").split()
        good = [word for word in words if _is_ignored(word)]
        if wrong := [word for word in words if word not in good]:
            said = f"{', '.join(wrong)[:200]}: neither a prefix, a host's name nor a file, and left out"
            self._say("otherwise", "ignoreip", said)
        own = [] if self._is_no("ignoreself") else LOOPBACK
        plain = [word for word in good if values.is_prefix(word)]
        named = [word for word in good if word not in plain]
        return {"ignoreip": list(dict.fromkeys([*own, *values.prefixes(plain), *named]))}

    def _usedns(self, value: str) -> Keys:
        if value.lower() == "raw":
            raise ValueError('"yes" or "no": a text that is no address is banned nowhere')
        return {"usedns": "yes" if value.lower() in {"yes", "warn"} else "no"}

    def _timezone(self, value: str) -> Keys:
        hours, minutes = divmod(abs(east := minutes_east(value) or 0), 60)
        return {"timezone": f"{'-' if east < 0 else '+'}{hours:02}:{minutes:02}"}

    def _grow(self) -> None:
        """`bantime.increment` and what belongs to it."""
        grows = is_true(self.installation.value(self.jail, INCREMENT))
        if not grows:
            if self._own(INCREMENT) and self.jail != DEFAULT:
                self.keys["increment"] = {"enabled": False}
            return
        table: Keys = {}
        for name in ("factor", "multipliers", "maxtime", "rndtime"):
            key = f"bantime.{name}"
            value = self.installation.value(self.jail, key)
            if value is None or value.lower() in {"", "none"}:
                continue
            try:
                table[name] = _of_increment(name, value)
            except ValueError as error:
                self._say(
                    "otherwise", key, f"{value[:60]!r} is not understood (expected {error}), and left out"
                )
        self._formula(table)
        table["forget"] = _span(self.installation.setting(PURGE) or PURGE_AGE)
        self.keys["increment"] = table
        self._say(
            "translated",
            INCREMENT,
            f"[increment] {', '.join(f'{k} = {toml_value(v)}' for k, v in table.items())}",
        )

    def _formula(self, table: Keys) -> None:
        formula = self.installation.value(self.jail, "bantime.formula") or ""
        if formula and "multipliers" not in table and "".join(formula.split()).lower() not in DOUBLING:
            try:
                parse_formula(formula)
                table["formula"] = formula
            except ValueError as error:
                self._say("otherwise", "bantime.formula", f"bans double instead (expected {error})")
        if is_true(self.installation.value(self.jail, "bantime.overalljails")):
            table["overalljails"] = True

    def _is_no(self, key: str) -> bool:
        value = self.installation.value(self.jail, key)
        return value is not None and not is_true(value)

    def _own(self, key: str) -> str | None:
        """A key as its own section sets it."""
        return self.installation.value(self.jail, key) if key in self.installation.own(self.jail) else None

    def _say(self, verdict: Fate, key: str, said: str) -> None:
        """Say what became of a key, where its own section sets it."""
        if self._own(key):
            place = self.installation.place(self.jail, key)
            name = "" if self.jail == DEFAULT else self.jail
            self.remarks.append(Remark(verdict=verdict, jail=name, key=key, said=said, place=place))


def _number(value: str) -> Keys:
    try:
        return {"maxretry": values.between(1, MOST_RETRY)(int(value))}
    except ValueError as error:
        raise ValueError("a whole number above 0") from error


def _span(value: str) -> str | int:
    """A time as ours: as it was written, where that means the same here."""
    length_ms = values.duration_ms(round(seconds(value)))
    try:
        same = parse_duration(value) == length_ms
    except ValueError:
        same = False
    short = format_duration(length_ms)
    if same and not value.isdigit():
        return value
    return short if parse_duration(short) == length_ms else length_ms // 1_000


def _of_increment(name: str, value: str) -> object:
    if name == "multipliers":
        return [float(each) for each in values.factors(value)]
    return float(values.factor(value)) if name == "factor" else _span(value)


def _is_ignored(word: str) -> bool:
    try:
        ignored(word)
    except ValueError:
        return False
    return True

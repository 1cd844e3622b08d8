"""What scripts ask of fail2ban's client, answered in its words by what `status`, `bans` and `ban` know.

| asked | answered from |
|---|---|
| ping, status, get | what `up` says of itself, the rules in force, the bans |
| banned, get JAIL banip | the bans |
| set JAIL banip, unbanip; unban | commands of an operator, and the decisions they cause |
| set JAIL addignoreip, delignoreip | allow and disallow, for every jail |
| reload, -t | the same as `banstream reload` and `config check` |

Forms are of fail2ban 1.1's client (fail2ban-client(1)), as its own answers in the tests
show. What there is not answers with what to use, and exit code 255.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from banstream import values
from banstream.allowed import allowed
from banstream.answers import Order, Reply
from banstream.banned import Banned, banned_in
from banstream.config import Settings, load_settings
from banstream.glance import sources_read
from banstream.instants import now_ms
from banstream.machine import Machine, machine
from banstream.ordering import Asking, command, give_all
from banstream.outcomes import Forgotten, Outcomes
from banstream.reading import heartbeat, is_up, open_to_read, rules_in_force
from banstream.show import instant, printable
from banstream.standings import StandingBan
from eventlog.contract import EventLog
from eventlog.urls import is_shared
from schemas.errors import BanstreamError
from schemas.records import Ban, Command, Decision, Unban, Verb
from schemas.rules import Jail

FOREVER_S: Final = -1
NO_GET: Final = "Invalid command (no get action or not yet implemented)"
NO_SET: Final = "Invalid command (no set action or not yet implemented)"
NO_COMMAND: Final = "Invalid command"
WHY: Final = "asked by fail2ban-client"
LAST_DAY: Final = "9999-12-31 23:59:59"
"""How fail2ban writes the end of a ban that has none."""
LAST: Final = "`-"
FILE: Final = "file:"
JOURNAL: Final = "journald:"
StatusTree = list[tuple[str, list[tuple[str, str]]]]


class Refused(BanstreamError):  # noqa: N818 - said of a request
    """A request has no answer.

    Attributes:
        said: what fail2ban's client says on stdout.
        hint: what to use here instead; empty: nothing.
    """

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.said = said
        self.hint = hint


class CommandsCaused(Outcomes):
    """Keeps what commands caused, and says nothing."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """As Outcomes."""
        super().__init__(*arguments, **more)
        self.decisions: list[Decision] = []

    def tell(
        self, order: Order, answers: Sequence[Reply], undecided: Sequence[int], before: Forgotten
    ) -> int:
        """Keep what one caused."""
        del order, undecided, before
        self.decisions += [each.decision for each in answers]
        return 0

    def not_running(self, order: Order) -> int:
        """Nothing is caused before `up` starts."""
        del order
        return 0


@dataclass
class Fail2banClient:
    """Answers about one log."""

    settings: Settings
    config_file: str | None
    log: EventLog

    @cached_property
    def jails(self) -> Mapping[str, Jail]:
        """The jails in force, sorted."""
        rules = rules_in_force(self.log)
        found = () if rules is None else rules.jails
        return {jail.name: jail for jail in sorted(found, key=lambda each: each.name)}

    @cached_property
    def machine(self) -> Machine:
        """This machine. Refused where the log is a fleet's."""
        if is_shared(self.settings.log_url):
            raise Refused("Invalid command (no status)", "`banstream status --fleet` has a fleet's")
        return machine(self.log, self.settings, self.config_file, now_ms())

    @cached_property
    def banned(self) -> Banned:
        """Who is banned."""
        return banned_in(self.log, self.settings.log_url, now_ms())

    def jail(self, name: str) -> Jail:
        """The jail of a name, in fail2ban's words where there is none."""
        if name not in self.jails:
            raise Refused(f"Sorry but the jail '{printable(name)}' does not exist")
        return self.jails[name]

    def bans_of(self, jail: str) -> list[StandingBan]:
        """A jail's bans that have not ended, the oldest first."""
        found = (each for each in self.banned.bans if each.hold.jail == jail and "ended" not in each.states)
        return sorted(found, key=lambda each: each.since_ms)

    def check_running(self) -> None:
        """Refuse, as fail2ban does, where nothing runs that would answer or obey."""
        url = self.settings.log_url
        if not is_shared(url) and not is_up(url, self.log, heartbeat(self.log), now_ms()):
            raise Refused("", "Failed to access the server: `banstream up` does not run on this log")

    def give(self, verb: Verb, prefixes: Sequence[str | None], jail: str | None = None) -> list[Decision]:
        """Give a command for each prefix; what they caused. Raises as `give_all`."""
        tallies: list[CommandsCaused] = []

        def told(*arguments: Any, **more: Any) -> Outcomes:
            tallies.append(CommandsCaused(*arguments, **more))
            return tallies[-1]

        asking = Asking(config_file=self.config_file, as_json=False, usual=verb == "ban")
        commands: list[Command] = [
            command(verb, prefix=prefix, jail=jail, why=WHY) for prefix in dict.fromkeys(prefixes)
        ]
        if commands:
            give_all(commands, asking, told)
        return [each for tally in tallies for each in tally.decisions]


def opened(config_file: str | None) -> Fail2banClient:
    """A client of the log that a configuration names; close its log. Raises LogError and Transient."""
    settings = load_settings(config_file, check="log")
    return Fail2banClient(settings, config_file, open_to_read(settings))


def status(client: Fail2banClient, asked: Sequence[str]) -> str:
    """`status`, `status JAIL [FLAVOR]`, `status --all [FLAVOR]`."""
    if not asked:
        return "\n".join(["Status", *_branches(_list(client))])
    name, flavor = asked[0], next(iter(asked[1:]), "basic")
    if name == "--all":
        return "\n".join(_status_of_all(client, flavor))
    client.jail(name)
    return "\n".join([f"Status for the jail: {name}", *_tree(_status(client, name, flavor))])


def _status_of_all(client: Fail2banClient, flavor: str) -> Iterator[str]:
    """The jails, and how each is."""
    yield "Status"
    yield from (f"|- {name}:\t{value}" for name, value in _list(client))
    if client.jails:
        yield "`- Status for the jails:"
    for mark, name in _marked(list(client.jails)):
        yield f"   {mark} Jail: {name}"
        yield from _tree(_status(client, name, flavor), "      " if mark == LAST else "   |  ")


def banned(client: Fail2banClient, addresses: Sequence[str]) -> str:
    """`banned`: by jail who is banned; `banned IP...`: for each in which jails."""
    held = {name: [each.prefix for each in client.bans_of(name)] for name in client.jails}
    if not addresses:
        return repr([{name: prefixes} for name, prefixes in held.items()])
    wanted = [_prefix(each) for each in addresses]
    return repr([[name for name, prefixes in held.items() if each in prefixes] for each in wanted])


def get(client: Fail2banClient, name: str, key: str, rest: Sequence[str]) -> str:
    """`get JAIL KEY`."""
    jail = client.jail(name)
    if key not in GETS:
        raise Refused(NO_GET, "`banstream config show` has what is configured")
    return GETS[key](client, jail, rest)


def ban(client: Fail2banClient, name: str, addresses: Sequence[str]) -> str:
    """`set JAIL banip`: how many of them are banned newly."""
    client.jail(name)
    caused = client.give("ban", [_prefix(each) for each in addresses], name)
    return str(len({each.prefix for each in caused if isinstance(each, Ban)}))


def unban(client: Fail2banClient, name: str | None, addresses: Sequence[str | None]) -> str:
    """`set JAIL unbanip`, `unban`: how many bans ended; an address None: all there are."""
    if name is not None:
        client.jail(name)
    strict = addresses[:1] == ["--report-absent"]
    wanted = [None if each is None else _prefix(each) for each in addresses[strict:]]
    ended = [each for each in client.give("unban", wanted, name) if isinstance(each, Unban)]
    absent = [each for each in wanted if each is not None and each not in {one.prefix for one in ended}]
    if strict and absent:
        raise Refused(f"not banned: {absent}")
    return str(len(ended))


def ignore(client: Fail2banClient, name: str, verb: Verb, addresses: Sequence[str]) -> str:
    """`set JAIL addignoreip` and `delignoreip`: whom the jail spares now."""
    jail, wanted = client.jail(name), [_prefix(each) for each in addresses]
    fixed = [each for each in wanted if verb == "disallow" and each in jail.ignoreip]
    if fixed:
        hint = f"{', '.join(fixed)} is in ignoreip of the configuration: change it there, then reload"
        raise Refused(NO_SET, hint)
    client.give(verb, wanted)
    return ignored(client, jail)


def ignored(client: Fail2banClient, jail: Jail) -> str:
    """Whom a jail spares: its ignoreip, and whom operators allow."""
    words = [each.prefix for each in allowed(client.log, now_ms())]
    title = "These IP addresses/networks are ignored:"
    return _listed(list(dict.fromkeys([*jail.ignoreip, *words])), title, "No IP address/network is ignored")


def _list(client: Fail2banClient) -> list[tuple[str, str]]:
    return [("Number of jail", str(len(client.jails))), ("Jail list", ", ".join(client.jails))]


def _status(client: Fail2banClient, name: str, flavor: str) -> StatusTree:
    made, jail = client.machine, client.jails[name]
    counts = made.jails.get(name, {})
    held = [each.prefix for each in client.bans_of(name)]
    files, matches = _read(client, jail)
    logs = (
        [("Journal matches", " ".join(matches))]
        if matches and not files
        else [("File list", " ".join(files))]
    )
    failing = [("Currently failed", str(counts.get("failing", 0)))]
    found = [*failing, ("Total failed", str(counts.get("failures", 0))), *logs]
    acted = [("Currently banned", str(len(held))), ("Total banned", str(counts.get("bans", 0)))]
    if flavor != "short":
        acted.append(("Banned IP list", " ".join(held)))
    return [("Filter", found), ("Actions", acted)]


def _read(client: Fail2banClient, jail: Jail) -> tuple[list[str], list[str]]:
    """The files that a jail reads, and what it asks the journal for."""
    from producers.sources.folders import matching_files

    specs = [each.partition(" with filter ")[0] for each in sources_read(client.machine, jail)]
    files = [
        str(file) for each in specs if each.startswith(FILE) for file in matching_files(each[len(FILE) :])
    ]
    matches = [each[len(JOURNAL) :] for each in specs if each.startswith(JOURNAL)]
    return [*map(printable, dict.fromkeys(files))], [*map(printable, dict.fromkeys(matches))]


def _banip(client: Fail2banClient, jail: Jail, rest: Sequence[str]) -> str:
    bans = client.bans_of(jail.name)
    bans.sort(key=lambda each: (each.hold.until_ms is None, each.hold.until_ms))
    if rest[:1] == ["--with-time"]:
        return "\n".join(map(_with_time, bans))
    return (rest[0] if rest else " ").join(each.prefix for each in bans)


def _with_time(ban: StandingBan) -> str:
    until_ms = ban.hold.until_ms
    length_s = FOREVER_S if until_ms is None else round((until_ms - ban.since_ms) / 1_000)
    end = LAST_DAY if until_ms is None else instant(until_ms)
    return f"{ban.prefix} \t{instant(ban.since_ms)} + {length_s} = {end}"


def _banned_of(client: Fail2banClient, jail: Jail, rest: Sequence[str]) -> str:
    held = [each.prefix for each in client.bans_of(jail.name)]
    if not rest:
        return repr(held)
    found = [int(_prefix(each) in held) for each in rest]
    return repr(found[0] if len(found) == 1 else found)


def _logpath(client: Fail2banClient, jail: Jail, rest: Sequence[str]) -> str:
    del rest
    files, _ = _read(client, jail)
    return _listed(files, "Current monitored log file(s):", "No file is currently monitored")


def _journalmatch(client: Fail2banClient, jail: Jail, rest: Sequence[str]) -> str:
    del rest
    _, matches = _read(client, jail)
    return "\n".join(["Current match filter:", *matches]) if matches else "No journal match filter set"


def _failregex(client: Fail2banClient, jail: Jail, rest: Sequence[str]) -> str:
    """The expressions of a jail's filters that are fail2ban's own; native ones have none."""
    from producers.filters import load_filter
    from producers.filters.fail2ban import Fail2banFilter

    del client, rest
    filters = [each for name in jail.filters if isinstance(each := load_filter(name), Fail2banFilter)]
    found = [rule.source for each in filters for rule in each.compiled.rules.failures]
    if not found and jail.filters:
        raise Refused(NO_GET, f"{', '.join(jail.filters)} of the library has none: `banstream filters list`")
    numbered = [f"[{at}]: {each}" for at, each in enumerate(found)]
    title = "The following regular expression are defined:"
    return _listed(numbered, title, "No regular expression is defined")


GETS: Final[Mapping[str, Callable[[Fail2banClient, Jail, Sequence[str]], str]]] = {
    "banip": _banip,
    "banned": _banned_of,
    "ignoreip": lambda client, jail, _: ignored(client, jail),
    "findtime": lambda _, jail, __: str(jail.findtime_ms // 1_000),
    "bantime": lambda _, jail, __: str(FOREVER_S if jail.bantime_ms is None else jail.bantime_ms // 1_000),
    "maxretry": lambda _, jail, __: str(jail.maxretry),
    "logpath": _logpath,
    "journalmatch": _journalmatch,
    "failregex": _failregex,
}
"""What `get JAIL` knows."""


def _prefix(text: str) -> str:
    try:
        return values.prefix(text)
    except ValueError as error:
        raise Refused(f"{printable(text)!r}: expected {error}") from error


def _listed(items: Sequence[str], title: str, nothing: str) -> str:
    return "\n".join([title, *(f"{mark} {each}" for mark, each in _marked(items))]) if items else nothing


def _branches(rows: Sequence[tuple[str, str]], before: str = "") -> Iterator[str]:
    for mark, (name, value) in _marked(rows):
        yield f"{before}{mark} {name}:\t{value}"


def _tree(tree: StatusTree, before: str = "") -> Iterator[str]:
    for mark, (name, rows) in _marked(tree):
        yield f"{before}{mark} {name}"
        yield from _branches(rows, before + ("   " if mark == LAST else "|  "))


def _marked(items: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    return ((LAST if at == len(items) else "|-", each) for at, each in enumerate(items, start=1))


ClientAnswer = Callable[[Fail2banClient], str]

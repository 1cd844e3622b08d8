"""Reports to AbuseIPDB, one ban each: `to = "abuseipdb:"`, https://docs.abuseipdb.com/#report-endpoint.

| a ban | is |
|---|---|
| of one public address, by its failures | reported: address, time, categories, how many in which jail |
| of that address again within 15 minutes | not reported again: AbuseIPDB takes one in so long |
| of a network, by an operator's word, of a private address, decided late | not reported |

Nothing of one's own leaves: no line, user or host is in a report. Over the limit of the day (429) it waits as
Retry-After says. An address that was reported before a restart is refused (403), which is as good as taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlencode

from schemas.errors import Transient
from schemas.records import Ban
from schemas.steering import printable
from sinks.contract import (
    TAKEN,
    Item,
    Option,
    Options,
    Parcel,
    Reception,
    Sending,
    SentBy,
    SinkAnswer,
    TransportKind,
)
from sinks.facts import address_of, technique_of_item
from sinks.sentences import reason, rfc3339
from sinks.transports.posting import CLOSED, HTTP_OPTIONS, REFUSED_MS, Posting, http_doubt

URL: Final = "https://api.abuseipdb.com/api/v2/report"
HEADERS: Final = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
AGAIN_MS: Final = 15 * 60_000
MOST_KEPT: Final = 65_536
COMMENT_CHARACTERS: Final = 1_024
FORBIDDEN: Final = 403
REPEATED: Final = "15 minutes"
CATEGORIES: Final = range(1, 24)
"""https://www.abuseipdb.com/categories"""
BY_TECHNIQUE: Final[Mapping[str, int]] = {
    "T1110": 18,
    "T1190": 21,
    "T1498": 4,
    "T1499": 4,
    "T1595.001": 14,
    "T1595.002": 21,
    "T1595.003": 21,
}
HACKING: Final = 15
BY_FILTER: Final[Sequence[tuple[str, int]]] = (("ssh", 22), ("dropbear", 22), ("ftp", 5), ("asterisk", 8))


class AbuseIpdbTransport:
    """Reports bans."""

    def __init__(self, posting: Posting, categories: Sequence[str]) -> None:
        """`categories`: always these; none: what each ban's technique and filters say."""
        self._posting = posting
        self._categories = tuple(categories)
        self._reported: OrderedDict[str, int] = OrderedDict()

    def send(self, batch: Sequence[Sending]) -> Sequence[SinkAnswer]:
        """Report the first of them. Raises Transient."""
        item = batch[0].item
        if item.sample:
            return [SinkAnswer(Reception.HOPELESS, "a sample is not reported, so the key was not tried")]
        if not isinstance(ban := item.record, Ban) or (address := _reportable(item, ban)) is None:
            return [TAKEN]
        if ban.at_ms - self._reported.get(address, -AGAIN_MS) < AGAIN_MS:
            return [TAKEN]
        answered = self._posting.post(urlencode(self._form(item, ban, address)).encode("ascii"), HEADERS)
        if answered.status == FORBIDDEN and REPEATED not in answered.said:
            raise Transient(f"AbuseIPDB: {answered.said}", retry_after_ms=REFUSED_MS)
        if answered.status >= 300 and answered.status != FORBIDDEN:  # noqa: PLR2004 - other than 2xx
            return [SinkAnswer(Reception.HOPELESS, answered.said)]
        self._reported[address] = ban.at_ms
        if len(self._reported) > MOST_KEPT:
            self._reported.popitem(last=False)
        return [TAKEN]

    def close(self) -> None:
        """Let go of the connection."""
        self._posting.close()

    def _form(self, item: Item, ban: Ban, address: str) -> Mapping[str, str]:
        return {
            "ip": address,
            "categories": ",".join(self._categories or map(str, categories_of(item))),
            "comment": printable(f"banstream: {reason(ban)}")[:COMMENT_CHARACTERS],
            "timestamp": rfc3339(ban.at_ms),
        }


def categories_of(item: Item) -> list[int]:
    """What AbuseIPDB calls what a ban's evidence is a sign of."""
    technique = technique_of_item(item)
    found = HACKING
    if technique is not None:
        found = BY_TECHNIQUE.get(technique.uid) or BY_TECHNIQUE.get(technique.parent, HACKING)
    names = " ".join(item.background.filters)
    return [found, *dict.fromkeys(number for part, number in BY_FILTER if part in names)]


def _reportable(item: Item, ban: Ban) -> str | None:
    address = address_of(item)
    if address is None or ban.who is not None or ban.expired or not ban.count:
        return None
    return address if ip_address(address).is_global else None


def _doubt(to: str, options: Options) -> str | None:
    if to != "abuseipdb:":
        return "abuseipdb: and no more; where it is said by url"
    if not options["token_file"]:
        return "token_file: the file with your API key"
    if not {*options["categories"]} <= {str(each) for each in CATEGORIES}:
        return 'categories such as ["18", "22"]: https://www.abuseipdb.com/categories'
    return http_doubt(options["url"], options)


def _open(_: str, options: Options, __: Parcel, sender: SentBy) -> AbuseIpdbTransport:
    posting = Posting(options["url"], options, sender, scheme="", header="Key", closed=CLOSED - {FORBIDDEN})
    return AbuseIpdbTransport(posting, options["categories"])


KIND: Final = TransportKind(
    _open,
    options={
        **HTTP_OPTIONS,
        "gzip": Option("flag", default=False),
        "url": Option("text", URL),
        "categories": Option("texts", ()),
    },
    doubt=_doubt,
    on=("ban",),
    most=1,
)

"""Time zones as fail2ban reads them: abbreviations and offsets, without daylight saving's days.

| text | minutes east of UTC |
|---|---|
| `Z`, `UTC`, `GMT` | 0 |
| `+0200`, `+02:00`, `+02` | 120 |
| `CET`, `CEST` | 60, 120 |
| `CET+0100` | 120: both count |
"""

from __future__ import annotations

import re
from typing import Final

NAMED_OFFSET: Final = re.compile(r"([A-Z](?:[A-Z]{2,4})?)?(?:([+-])([01]\d)(?::?(\d{2}))?)?\n?")
BY_MINUTES: Final[dict[int, str]] = {
    -720: "Y",
    -660: "NUT SST X",
    -600: "CKT HAST HST TAHT TKT W",
    -570: "MART MIT",
    -540: "AKST GAMT GIT HADT HNY V",
    -480: "AKDT CIST HAY HNP PST PT U",
    -420: "HAP HNR MST PDT T",
    -360: "CST EAST GALT HAR HNC MDT S",
    -300: "CDT COT EASST ECT EST ET HAC HNE PET R",
    -270: "HLV VET",
    -240: "AST BOT CLT COST EDT FKT GYT HAE HNA PYT Q",
    -210: "HNT NST NT",
    -180: "ADT ART BRT CLST FKST GFT HAA P PMST PYST SRT UYT WGT",
    -150: "HAT NDT",
    -120: "BRST FNT O PMDT UYST WGST",
    -60: "AZOT CVT EGT N",
    0: "EGST GMT UTC WET WT Z",
    60: "A CET DFT WAT WEDT WEST",
    120: "B CAT CEDT CEST EET SAST WAST",
    180: "C EAT EEDT EEST IDT MSK",
    210: "IRST",
    240: "AMT AZT D GET GST KUYT MSD MUT RET SAMT SCT",
    270: "AFT IRDT",
    300: "AMST AQTT AZST E HMT MAWT MVT PKT TFT TJT TMT UZT YEKT",
    330: "SLT",
    345: "NPT",
    360: "ALMT BIOT BTT F IOT KGT NOVT OMST YEKST",
    390: "CCT MMT",
    420: "CXT DAVT G HOVT ICT KRAT NOVST OMSST THA WIB",
    480: "ACT AWST BDT BNT CAST H HKT IRKT KRAST MYT PHT SGT ULAT WITA WST",
    540: "AWDT I IRKST JST KST PWT TLT WDT WIT YAKT",
    570: "ACST",
    600: "AEST K PGT VLAT YAKST YAPT",
    630: "ACDT LHST",
    660: "AEDT L LHDT MAGT NCT PONT SBT VLAST VUT",
    690: "NFT",
    720: "ANAST ANAT FJT GILT M MAGST MHT NZST PETST PETT TVT WFT",
    780: "FJST NZDT",
}
MINUTES: Final = {name: minutes for minutes, names in BY_MINUTES.items() for name in names.split()} | {
    "ChST": 600
}


def minutes_east(text: str) -> int:
    """The offset that a zone's text means; ValueError when it is none that is known."""
    found = NAMED_OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a zone such as UTC, CET or +0200, not {text!r}")
    name, sign, hours, minutes = found.groups()
    if name and name not in MINUTES:
        raise ValueError(f"{name!r} is no time zone that is known")
    offset = 0 if hours is None else int(hours) * 60 + int(minutes or 0)
    return MINUTES.get(name or "UTC", 0) + (-offset if sign == "-" else offset)

"""Filters that use what the installed ones do not, each with some lines: files, the main one first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Custom = tuple[Mapping[str, str], Mapping[str, str], tuple[str, ...]]

AT: Final = "Nov 22 08:59:00 "

CUSTOM: Final[dict[str, Custom]] = {
    "tags": (
        {
            "own.conf": r"""
[Definition]
failregex = ^ a <ADDR>$
            ^ b <IP4> <F-PORT/>$
            ^ c <IP6> <F-PORT>\d+</F-PORT>$
            ^ d <DNS>$
            ^ e <F-ADDR/> user <F-USER>\S+</F-USER>
            ^ f <IP4>/<CIDR>$
            ^ g <SUBNET>$
            ^ h <F-ID>[a-z]+\d</F-ID> <F-WHAT_2>\w+</F-WHAT_2>
            ^ i <F-ID/>
            ^ j <F-ID>\S+@<HOST></F-ID>
            ^ k <F-ALT_USER>\w*</F-ALT_USER> <F-USER>\w*</F-USER>(?: <F-ALT_USER_1>\w+</F-ALT_USER_1>)? <HOST>
            ^ l <HOST> <F-CIDR/> <F-UNKNOWN/>
            ^ m <F-DNS/></F-NEVER> closed
            ^ n <F-IP4/>
            ^ o <F-SUBNET/>
""",
        },
        {},
        (
            AT + "a 192.0.2.7",
            AT + "a [2001:DB8::7]",
            AT + "a ::ffff:192.0.2.7",
            AT + "b 192.0.2.7 ssh",
            AT + "c 2001:db8::7 443",
            AT + "d example.org",
            AT + "d 192.0.2.7",
            AT + "e 192.0.2.7 user joe",
            AT + "f 192.0.2.77/24",
            AT + "f 192.0.2.77/32",
            AT + "f 192.0.2.77/64",
            AT + "g 192.0.2.77/28",
            AT + "g [2001:db8:1:2::3/64]",
            AT + "g 2001:db8:1:2::3",
            AT + "h abc1 said",
            AT + "i any-thing",
            AT + "i 192.0.2.9",
            AT + "i [192.0.2.9]",
            AT + "i 192.0.2.9/24",
            AT + "j joe@192.0.2.7",
            AT + "j joe@example.org",
            AT + "k joe  192.0.2.7",
            AT + "k  ann bob 192.0.2.7",
            AT + "k   192.0.2.7",
            AT + "n 300.1.2.3",
            AT + "n 192.0.2.007",
        ),
    ),
    "an address that may be missing": (
        {
            "own.conf": r"""
[Definition]
failregex = ^ login failed(?: from <HOST>)?
            ^ login failed \(<F-USER>\w+</F-USER>\) \[<HOST>\]$
            ^ login .* <HOST>$
""",
        },
        {},
        (
            AT + "login failed from 192.0.2.7",
            AT + "login failed (joe) [192.0.2.8]",
            AT + "login failed, said 192.0.2.9",
            AT + "login failed",
            AT + "login no 192.0.2.9",
        ),
    ),
    "a tuple": (
        {
            "own.conf": r"""
[Definition]
failregex = ^ <F-ID><HOST></F-ID> <F-TUPLE_WHO>\w+</F-TUPLE_WHO> <F-TUPLE_WHO_1>\w+</F-TUPLE_WHO_1>$
            ^ <F-WHO>\w+</F-WHO> <F-TUPLE_WHO>\w+</F-TUPLE_WHO> <HOST>$
""",
        },
        {},
        (AT + "192.0.2.7 joe ann", AT + "joe ann 192.0.2.7"),
    ),
    "references": (
        {
            "filter.d/own.conf": r"""
[INCLUDES]
before = shared.conf
after = own-after.conf
         absent.conf
[DEFAULT]
word = default
[Definition]
failregex = ^ %(all)s 100%% <HOST>$
            ^ <deep-<level-<kind>>> <HOST>
            ^ %(after)s <HOST>
all = %(word)s <word> <sec/word> %(sec/word)s <kind-<kind>> %(known/word)s %(default/word)s
after = before
kind = one
kind-one = first
kind-two = second
level-one = x
deep-x = dug
word = own ; a remark
[sec]
word = section's
[Init]
maxlines = 1
extra = e
""",
            "filter.d/shared.conf": "[DEFAULT]\nword = shared\nextra = s\n[Definition]\nword = before\n",
            "filter.d/shared.local": "[sec]\nother = o\n",
            "filter.d/own-after.conf": "[Definition]\nafter = after <extra>\n",
            "filter.d/own.d/b.conf": "[Definition]\nkind-one = of b\n",
            "filter.d/own.d/a.conf": "[Definition]\nkind-one = of a\nlevel-one = y\ndeep-y = deeper\n",
            "filter.d/own.local": "[Definition]\nfailregex = %(known/failregex)s\n  ^ local <HOST>\n",
            "filter.d/own.d/z.local": "[Definition]\nafter = <known/after> z\n",
        },
        {},
        (
            AT + "own own section's section's of b own default 100% 192.0.2.7",
            AT + "own own section's section's of b before default 100% 192.0.2.7",
            AT + "deeper 192.0.2.7",
            AT + "after e 192.0.2.7",
            AT + "local 192.0.2.7",
            AT + "after e z 192.0.2.7",
        ),
    ),
    "the jail's options": (
        {
            "own.conf": r"""
[Definition]
failregex = ^ <word> <known/word> %(_daemon)s <HOST>
_daemon = mine
word = own
[Init]
word = init's
more = 1
[Init?family=inet6]
word = six
""",
        },
        {"_daemon": "theirs, [all]", "more": "2"},
        (
            AT + "own init's theirs, [all] 192.0.2.7",
            AT + "<word> init's theirs, [all] 192.0.2.7",
            AT + "init's own 192.0.2.7",
            AT + "x 192.0.2.7 theirs, [all]",
            AT + "<word> init's theirs, a 192.0.2.7",
        ),
    ),
    "ignored late and early": (
        {
            "own.conf": r"""
[Definition]
prefregex = ^ \S+ (?:x )?<F-CONTENT>.+</F-CONTENT>$
failregex = ^bad <HOST>
            ^worse <HOST>
ignoreregex = ^bad 192\.0\.2\.8
              trusted
""",
        },
        {},
        (
            AT + "h bad 192.0.2.7",
            AT + "h bad 192.0.2.8",
            AT + "trusted bad 192.0.2.7",
            AT + "h worse 192.0.2.7 trusted",
        ),
    ),
    "ignored before": (
        {
            "own.conf": r"""
[Definition]
prefregex = ^ \S+ (?:x )?<F-CONTENT>.+</F-CONTENT>$
failregex = ^bad <HOST>
            ^worse <HOST>
            ^b <HOST>
            ^c <HOST>
ignoreregex = ^ trusted
""",
        },
        {},
        (
            AT + "h bad 192.0.2.7",
            AT + "trusted bad 192.0.2.7",
            AT + "h trusted bad 192.0.2.7",
            AT + "h c 192.0.2.7",
        ),
    ),
    "expressions": (
        {
            "own.conf": r"""
[Definition]
failregex = (?i)^ BAD (?P<q>["'])x(?P=q) <HOST>
            ((?i)Worse) <HOST>
            ^ (?:(?s)any.thing) <HOST>
            ^ (a|b)\1 <HOST>
            ^ (?P<opt>o )?<HOST>(?(opt) yes| no)$
            <HOST> at last$
""",
        },
        {},
        (
            AT + "bad 'x' 192.0.2.7",
            AT + "Bad \"x' 192.0.2.7",
            AT + "it was WORSE 192.0.2.7",
            AT + "any thing 192.0.2.7",
            AT + "aa 192.0.2.7",
            AT + "ab 192.0.2.7",
            AT + "o 192.0.2.7 yes",
            AT + "192.0.2.7 no",
            AT + "o 192.0.2.7 no",
            AT + "\u017f \u212a 192.0.2.7 at last",
        ),
    ),
    "a session": (
        {
            "own.conf": r"""
[Definition]
prefregex = ^ <F-MLFID>\w+\[\d+\]: </F-MLFID><F-CONTENT>.+</F-CONTENT>$
failregex = ^<F-NOFAIL>from</F-NOFAIL> <HOST>(?: user <F-USER>\S+</F-USER>)?$
            ^failed(?: for <F-USER>\S+</F-USER>)?$
            ^<F-MLFGAINED>welcome</F-MLFGAINED>(?: <F-USER>\S+</F-USER>)?$
            ^<F-MLFFORGET>gone</F-MLFFORGET>$
            ^<F-NOFAIL><F-MLFFORGET>bye</F-MLFFORGET></F-NOFAIL>$
            ^<F-MLFFORGET>failed last</F-MLFFORGET> <HOST>$
""",
        },
        {},
        tuple(
            AT + line
            for line in (
                "a[1]: from 192.0.2.1",
                "a[1]: failed for joe",
                "a[1]: failed for joe",
                "a[2]: failed for ann",
                "a[2]: from 192.0.2.2",
                "a[2]: failed",
                "a[3]: from 192.0.2.3 user joe",
                "a[3]: welcome joe",
                "a[3]: from 192.0.2.3 user eve",
                "a[3]: welcome eve",
                "a[4]: failed",
                "a[4]: welcome",
                "a[4]: from 192.0.2.4",
                "a[1]: bye",
                "a[1]: failed for joe",
                "a[5]: from 192.0.2.5",
                "a[5]: gone",
                "a[5]: failed",
                "a[6]: failed last 192.0.2.6",
                "a[6]: failed",
                "a[6]: from 192.0.2.66",
                *(f"b[{number}]: from 192.0.2.9" for number in range(120)),
                "a[6]: failed",
                "b[1]: failed",
                "b[119]: failed",
            )
        ),
    ),
    "several lines": (
        {
            "own.conf": r"""
[Definition]
failregex = ^ \S+ begin (?P<k>\d+)$<SKIPLINES>^ \S+ end (?P=k) <HOST>$
            ^ \S+ alone <HOST>$
ignoreregex = begin 7
[Init]
maxlines = 4
""",
        },
        {},
        tuple(
            AT + line
            for line in (
                "h begin 1",
                "h end 1 192.0.2.7",
                "h begin 2",
                "h alone 192.0.2.8",
                "h end 2 192.0.2.9",
                "h begin 3",
                "h x",
                "h x",
                "h x",
                "h end 3 192.0.2.9",
                "h begin 7",
                "h end 7 192.0.2.9",
                "h begin 4",
                "h begin 5",
                "h end 5 192.0.2.9",
                "h end 4 192.0.2.9",
            )
        ),
    ),
    "dates of tokens": (
        {
            "own.conf": r"""
[Definition]
failregex = ^\s*x <HOST>
datepattern = ^%%Y-%%j %%H:%%M:%%S
              ^%%A %%W %%Y %%k:%%M
              ^%%a %%U %%y %%l:%%M:%%S %%p
              ^%%d %%B %%Y %%I:%%M:%%S%%p
              ^%%c
              ^%%x %%X
              ^at %%Exd.%%Exm.%%Exy %%Exk-%%ExM-%%ExS %%Exz
              ^%%Exl:%%ExM:%%ExS %%m/%%d %%ExZ
              ^on %%Y%%m%%d
              ^msg\({EPOCH}\)
              ^long {LEPOCH}
              {^LN-BEG}%%b/%%d %%H
              {UNB}@%%H:%%M:%%S
              **%%Y_%%m_%%d**
              {DEFAULT}
""",
        },
        {},
        (
            "2026-300 10:11:12 x 192.0.2.7",
            "Monday 40 2026 9:07 x 192.0.2.7",
            "Sun 40 26 9:07:01 PM x 192.0.2.7",
            "3 October 2026 12:07:01AM x 192.0.2.7",
            "Sat Oct  3 12:07:01 2026 x 192.0.2.7",
            "10/03/26 12:07:01 x 192.0.2.7",
            "at 03.10.26  9-07-01 CET+01:00 x 192.0.2.7",
            "11:07:01 10/3 PST x 192.0.2.7",
            "on 20261003 x 192.0.2.7",
            "msg(1795300000.123) x 192.0.2.7",
            "long 1795300000123 x 192.0.2.7",
            "long 1795300000123456 x 192.0.2.7",
            "long 1795300000 x 192.0.2.7",
            "- Oct/03 09 x 192.0.2.7",
            "@08:09:10 x 192.0.2.7",
            "@23:09:10 x 192.0.2.7",
            "a2026_10_03b x 192.0.2.7",
            " x 192.0.2.7",
        ),
    ),
    "no date": (
        {"own.conf": "[Definition]\nfailregex = ^\\S+ x <HOST>\ndatepattern = {NONE}\n"},
        {},
        (AT.split()[2] + " x 192.0.2.7", "h x 192.0.2.8"),
    ),
    "the last date": (
        {
            "own.conf": r"""
[Definition]
failregex = ^\s*(?:\S+ )?x <HOST>
datepattern = ^%%Y-%%m-%%d %%H:%%M:%%S
              ^{DATE}
""",
        },
        {},
        (
            "2026-11-22 09:59:30 nothing",
            "x 192.0.2.7",
            "h x 192.0.2.8",
            "2026-11-22 08:00:00 nothing",
            "x 192.0.2.9",
            "2026-02-30 08:00:00 x 192.0.2.9",
            "2026-11-22 09:59:50 y",
            "2026-02-30 08:00:00 x 192.0.2.9",
            "# 2026-11-22 09:59:59 x 192.0.2.9",
            "x 192.0.2.10",
        ),
    ),
    "dates that look alike": (
        {"own.conf": "[Definition]\nfailregex = x <HOST>\ndatepattern = {^LN-BEG}\n"},
        {},
        (
            "Nov 22 08:59:00 2h x 192.0.2.7",
            "Nov 22 08:59:10 2h x 192.0.2.7",
            "Nov 22 08:59:20 2025 x 192.0.2.7",
            "Nov 22 08:59:30 2h x 192.0.2.7",
            "Nov 22 08:59:40.5 x 192.0.2.7",
            "Nov 22 08:59:60 2h x 192.0.2.7",
            "Nov 22 20:59:00 2h x 192.0.2.7",
            "Nov 24 20:59:00 2h x 192.0.2.7",
            "Nov 24 20:59:01 2h x 192.0.2.7",
        ),
    ),
    "a date that is none": (
        {"own.conf": "[Definition]\nfailregex = x <HOST>\n"},
        {},
        (
            "PDT Nov 22 02:16:41 x 192.0.2.7",
            "Sat Nov 21 18:36:43 2026 x 192.0.2.8",
            "x 192.0.2.9",
            "30-11-08  2:13:61 x 192.0.2.7",
        ),
    ),
}

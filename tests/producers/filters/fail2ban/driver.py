"""Runs fail2ban's own Filter on lines, for the tests: reads requests, a JSON object a line, answers each so.

Run it with the Python that has the package: `/usr/bin/python3 driver.py`. A request is
`{"path": FILE, "options": {}, "lines": [...], "now": SECONDS}`; the answer
`{"failures": [[line, id, time, data], ...], "templates": [...]}` or `{"error": TEXT}`. Each is answered by a
process of its own, because fail2ban remembers much for all filters of a process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from typing import Any

LINE_S = 0.3

sys.path.insert(0, "/usr/lib/python3/dist-packages")


def main() -> None:
    """Answer until the input ends."""
    for name in ("client.filterreader", "server.filter", "server.ipdns", "server.mytime", "server.strptime"):
        import_module(f"fail2ban.{name}")
    detector: Any = import_module("fail2ban.server.datedetector").DateDetector
    for template in detector._defCache.templates:  # noqa: SLF001 - compiled once for all that ask
        template._compileRegex()  # noqa: SLF001
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as stream:
                stream.write(json.dumps(answered(json.loads(line))))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as stream:
            sys.stdout.write((stream.read() or '{"error": "it died"}') + "\n")
            sys.stdout.flush()
        os.waitpid(child, 0)


def answered(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; an error is its text."""
    try:
        return answer(request)
    except Exception as error:  # noqa: BLE001 - whatever fail2ban raises is its answer
        return {"error": f"{type(error).__name__}: {error}"}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What fail2ban finds in the lines."""
    server: Any = import_module("fail2ban.server.filter")
    ipdns: Any = import_module("fail2ban.server.ipdns")
    time: Any = import_module("fail2ban.server.mytime").MyTime
    time.setTime(request["now"])
    # No name is looked up: it stands for itself.
    ipdns.DNSUtils.dnsToIp = staticmethod(lambda name: {ipdns.IPAddr(name, ipdns.IPAddr.CIDR_RAW)})
    filter_ = server.Filter(None)
    filter_.checkFindTime = False
    configure(filter_, request)
    signal.signal(signal.SIGVTALRM, too_slow)
    failures: list[Any] = []
    errors: list[int] = []
    for number, raw in enumerate(request["lines"]):
        line = raw.rstrip("\r\n")
        if line.startswith("#") or not line:
            continue
        signal.setitimer(signal.ITIMER_VIRTUAL, LINE_S)
        try:
            found = filter_.processLine(line)
        except Exception:  # noqa: BLE001 - as its server does: the line is lost, the next one read
            errors.append(number)
            continue
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        for _, fid, at, data in found:
            if not data.get("nofail"):
                texts = {key: text_of(value) for key, value in data.items() if isinstance(value, str | tuple)}
                failures.append([number, str(fid), request["now"] if at is None else at, texts])
    detector = filter_.dateDetector
    prefix = filter_.prefRegex
    return {
        "failures": failures,
        "errors": errors,
        "templates": [each.regex for each in detector.templates],
        "failregex": filter_.getFailRegex(),
        "ignoreregex": filter_.getIgnoreRegex(),
        "prefregex": prefix and prefix.getRegex(),
    }


def too_slow(_number: int, _frame: Any) -> None:
    """A line on which its expressions never end is lost, too."""
    raise TimeoutError


def text_of(value: str | tuple[str | None, ...]) -> str:
    """A captured value as text."""
    return value if isinstance(value, str) else " ".join(part for part in value if part)


def configure(filter_: Any, request: dict[str, Any]) -> None:
    """Read a filter's files into a Filter, as fail2ban-regex does."""
    reader_of: Any = import_module("fail2ban.client.filterreader").FilterReader
    path, options = request["path"], dict(request["options"])
    zone = options.pop("logtimezone", None)
    if zone:
        filter_.setLogTimeZone(zone)
    whole = os.path.basename(os.path.dirname(path)) == "filter.d"  # noqa: PTH119, PTH120 - the system's Python
    if whole:
        folder, name = path.rsplit("/filter.d/", 1)
        reader = reader_of(name.rsplit(".", 1)[0], "jail", options, share_config={}, basedir=folder)
        read = reader.read()
    else:
        reader = reader_of(path, "jail", options, share_config={}, basedir=None)
        reader.setBaseDir(None)
        read = reader.readexplicit()
    if not read:
        raise ValueError("not read")
    reader.applyAutoOptions("auto")
    reader.getOptions(None)
    setters: dict[str, Any] = {
        "prefregex": lambda value: setattr(filter_, "prefRegex", value),
        "addfailregex": filter_.addFailRegex,
        "addignoreregex": filter_.addIgnoreRegex,
        "maxlines": filter_.setMaxLines,
        "datepattern": filter_.setDatePattern,
        "usedns": filter_.setUseDns,
    }
    for command in reader.convert():
        setter: Any = setters.get(command[2])
        values = command[3] if command[0] == "multi-set" else command[3:]
        for value in values if setter else ():
            setter(value)


if __name__ == "__main__":
    main()

"""What is said as it takes effect: each jail's hold once, when the firewall has it, and never otherwise."""

from __future__ import annotations

from dataclasses import replace

from enforcers.bans import Heeded
from enforcers.enforcer import EnforcerConfig
from tests.enforcers.standings import HOUR_MS, NOW_MS, freed, hold, standing
from tests.enforcers.test_enforcer import Rig

IP, OTHER = "203.0.113.9", "203.0.113.8"
END_MS = NOW_MS + HOUR_MS


def test_each_jail_says_when_it_holds_and_when_it_lets_go() -> None:
    """The second jail's ban is news though the firewall does not change; so is that one lets go."""
    rig = Rig()
    sshd, dovecot = hold(END_MS), replace(hold(END_MS, jail="dovecot"), ban="0-2-0-0")
    rig.follow(standing(IP, sshd))
    assert rig.heard() == [f"[sshd] Ban {IP}"]
    rig.follow(standing(IP, dovecot, sshd, decision="0-2-0-0"))
    assert [(each.jail, each.word, each.decision) for each in rig.said] == [("dovecot", "Ban", "0-2-0-0")]
    rig.said.clear()
    rig.follow(standing(IP, dovecot, decision="0-3-0-0"))
    assert rig.heard() == [f"[sshd] Unban {IP}"]
    rig.follow(freed(IP))
    assert [(each.word, each.jail, each.decision) for each in rig.said] == [("Unban", "dovecot", None)]
    assert rig.held == {}


def test_another_end_is_said_and_the_same_word_again_is_not() -> None:
    """A prolonged ban has its new end; what changes nothing is no news."""
    rig = Rig()
    rig.follow(standing(IP, hold(END_MS)))
    rig.heard()
    rig.follow(standing(IP, hold(END_MS)))
    assert rig.heard() == []
    rig.follow(standing(IP, hold(None), decision="0-2-0-0"))
    assert [(each.word, each.until_ms) for each in rig.said] == [("Prolong", None)]


def test_what_comes_and_goes_within_one_batch_was_never_in_force() -> None:
    """Nothing is said of it; of two words on one prefix only what changed in the end."""
    rig = Rig()
    rig.follow(standing(IP), freed(IP), standing(OTHER), standing(OTHER, hold(END_MS), decision="0-2-0-0"))
    assert rig.heard() == [f"[sshd] Ban {OTHER}"]


def test_a_start_restores_and_a_repair_says_nothing() -> None:
    """fail2ban's words at a start; what others took out and is put back is told as one sentence elsewhere."""
    rig = Rig(standing(IP, hold(END_MS)), standing(OTHER), freed(OTHER))
    assert rig.heard() == [f"[sshd] Restore Ban {IP}"]
    rig.backend.flush()
    rig.backend.was_changed = True
    rig.follow(after_ms=1_000)
    assert rig.held == {IP: HOUR_MS - 1_000}
    assert rig.heard() == []


def test_a_firewall_that_does_not_take_it_is_said_once_and_so_is_the_success() -> None:
    """In vain, once, however many retries; then done, as if for the first time; the same for an unban."""
    rig = Rig()
    rig.backend.fails_on = {IP}
    rig.follow(standing(IP))
    rig.follow(after_ms=2_000)
    assert [(each.manner, each.word, each.reason) for each in rig.said] == [("Failed", "Ban", "no room")]
    rig.heard()
    rig.backend.fails_on = set()
    rig.follow(after_ms=60_000)
    assert rig.heard() == [f"[sshd] Ban {IP}"]
    rig.backend.fails_on = {IP}
    rig.follow(freed(IP))
    assert rig.heard() == [f"[sshd] Failed Unban {IP}"]
    rig.backend.fails_on = set()
    rig.follow(after_ms=60_000)
    assert rig.heard() == [f"[sshd] Unban {IP}"]


def test_a_refused_ban_says_why_and_its_end_says_nothing() -> None:
    """It never was in force: nobody is unbanned."""
    rig = Rig(config=EnforcerConfig(host="h1", never_ban=("203.0.113.0/24",)))
    rig.follow(standing(IP))
    assert [(each.word, each.reason) for each in rig.said] == [
        ("Refused", "never banned: 203.0.113.0/24 (operator)")
    ]
    rig.heard()
    rig.follow(freed(IP))
    assert rig.heard() == []


def test_who_only_observes_says_what_would_be() -> None:
    """No word that reads as if it were in force."""
    rig = Rig(standing(OTHER), observing="no root")
    rig.follow(standing(IP))
    rig.follow(freed(IP))
    assert rig.heard() == [
        f"[sshd] Would Ban {OTHER}",
        f"[sshd] Would Ban {IP}",
        f"[sshd] Would Unban {IP}",
    ]


def test_a_reload_says_what_differs_alone() -> None:
    """Bans that stay are no news; those no longer heeded, or refused from now on, are."""
    rig = Rig(standing(IP), standing(OTHER), standing("203.0.113.7", hold(None, jail="web")))
    rig.heard()
    rig.config = replace(rig.config, never_ban=(OTHER,), heeded=Heeded(jails={"sshd"}))
    new = rig.made()
    new.load()
    new.succeed(rig.enforcer)
    rig.enforcer = new
    rig.log.append([standing("203.0.113.6")])
    rig.follow(after_ms=1_000)
    assert sorted(rig.heard()) == [
        "[sshd] Ban 203.0.113.6",
        f"[sshd] Refused {OTHER}",
        f"[sshd] Unban {OTHER}",
        "[web] Unban 203.0.113.7",
    ]
    rig.follow(freed(IP))
    assert rig.heard() == [f"[sshd] Unban {IP}"]


def test_a_restored_ban_names_its_own_decision() -> None:
    """Not the one that last changed the prefix: another jail's unban."""
    rig = Rig(standing(IP, hold(END_MS), decision="0-7-0-0"))
    assert [(each.manner, each.decision, each.until_ms) for each in rig.said] == [
        ("Restore", "0-1-0-0", END_MS)
    ]
    rig.said.clear()
    rig.follow(standing(IP, hold(END_MS), decision="0-8-0-0"))
    assert rig.heard() == []

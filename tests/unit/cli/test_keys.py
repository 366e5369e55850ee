"""What `edgerun keys` says of keys in every state, and what it takes for a kid."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from edgerun import cli
from edgerun.cli import keys as command
from edgerun.cli import keywords
from edgerun.cli.keychain import Operator
from edgerun.credentials.keyring import POLICY, UNKNOWN, Evidence, advance, revoke, rotate
from edgerun.credentials.keys import KeySet
from edgerun.credentials.listing import Listing, listing
from edgerun.errors import SettingsError
from support.keyrings import new_keys

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RUNS, ENDED = Operator(DAY, runs=True), Operator(DAY, runs=False)


def begun(ago: timedelta) -> KeySet:
    """One that signs for so long, and one that is next."""
    return advance(KeySet(), datetime.now(UTC) - ago, UNKNOWN, POLICY, new_key=new_keys())


def succeeded(keys: KeySet) -> KeySet:
    lasted = {(key.kid, key.phase): DAY for key in keys.keys}
    known = Evidence(verifiers=(), lasted=lasted)
    return advance(rotate(keys), datetime.now(UTC), known, POLICY, new_key=new_keys(10))


def without(keys: KeySet, kid: str) -> KeySet:
    return revoke(keys, kid, datetime.now(UTC), POLICY, new_key=new_keys(20))


def test_a_table_has_every_key_and_below_it_stands_what_comes_next() -> None:
    shown = listing(begun(3 * HOUR))
    lines = keywords.overview(shown, RUNS).splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["KID", "PHASE"],
        [shown.signing, "Signing"],
        [shown.next, "Published"],
    ]
    assert lines[1].endswith("3h")
    assert lines[4:] == [f"{shown.signing} signs", lines[5]]
    assert lines[5].startswith(f"{shown.next} is next, due 2")
    assert lines[5].endswith("Z, in 20h")


@pytest.mark.parametrize(
    ("keys", "operator", "said"),
    [
        (begun(25 * HOUR), RUNS, "is next, due since 2"),
        (rotate(begun(HOUR)), RUNS, "is next, and was asked for: as soon as every guard knows it"),
        (begun(HOUR), None, "is next, when the operator's key interval is over"),
        (begun(HOUR), ENDED, "! the operator does not run: nothing of this happens before it does"),
        (KeySet(), RUNS, "no key signs; an operator that runs sees to that within half a minute"),
    ],
    ids=["overdue", "asked for", "an operator out of sight", "no operator", "no keys"],
)
def test_what_comes_next_is_told_as_far_as_it_can_be_known(keys: KeySet, operator: Operator | None, said: str) -> None:
    assert said in keywords.overview(listing(keys), operator)


def test_no_listing_has_a_private_half() -> None:
    keys = begun(HOUR)
    everything = keywords.as_json(listing(keys), RUNS) + keywords.overview(listing(keys), RUNS) + repr(listing(keys))
    for key in keys.keys:
        assert key.private
        assert not [line for line in key.private.splitlines() if line in everything]


def test_the_listing_for_machines_has_the_history_and_what_is_due() -> None:
    shown = listing(begun(HOUR))
    found = msgspec.json.decode(keywords.as_json(shown, RUNS))
    assert (found["signing"], found["next"], found["rotate"]) == (shown.signing, shown.next, False)
    assert [one["phase"] for one in found["keys"][0]["history"]] == ["Pending", "Published", "Signing"]
    due = datetime.fromisoformat(found["due"]) - datetime.now(UTC)
    assert timedelta(hours=22, minutes=59) < due < 23 * HOUR
    assert msgspec.json.decode(keywords.as_json(shown, None))["due"] is None


def test_the_beginning_of_a_kid_is_enough_when_only_one_begins_so() -> None:
    shown = listing(begun(HOUR))
    assert keywords.meant(shown, shown.next[:6]).kid == shown.next
    assert keywords.meant(shown, shown.next).kid == shown.next


@pytest.mark.parametrize("prefix", ["", "nothing-like-it"])
def test_an_unknown_kid_is_told_which_there_are(prefix: str) -> None:
    shown = listing(begun(HOUR))
    with pytest.raises(SettingsError) as told:
        keywords.meant(shown, prefix)
    assert str(told.value) == (
        f"there is no key {prefix!r}; there are:\n  {shown.signing}  Signing\n  {shown.next}  Published"
    )


def test_a_beginning_of_several_is_told_which_they_are() -> None:
    one, other = listing(begun(HOUR)).keys
    alike = tuple(msgspec.structs.replace(key, kid=kid) for key, kid in ((one, "abc1"), (other, "abd2")))
    with pytest.raises(SettingsError, match="'ab' is the beginning of 2 keys; give more of it"):
        keywords.meant(Listing(alike, "abc1", "abd2", rotate=False), "ab")


def test_what_a_revocation_does_is_told_before_by_the_phase_of_the_key() -> None:
    keys = begun(HOUR)
    shown = listing(succeeded(keys))
    told = {key.phase: keywords.revoking(shown, key) for key in shown.keys}
    assert told.keys() == {"Retiring", "Signing", "Published"}
    assert "Every guard refuses its tokens within a second." in told["Signing"]
    assert f"{shown.next} signs from then on" in told["Signing"]
    assert "no request is lost" in told["Signing"]
    assert "It has signed nothing" in told["Published"]
    assert "the edge has others" in told["Retiring"]


def test_who_signs_after_a_revocation_is_told() -> None:
    keys = begun(HOUR)
    kid = listing(keys).signing
    shown = listing(without(keys, kid))
    assert keywords.revoked(shown, kid, RUNS).startswith(f"{kid} is revoked; {shown.signing} signs\n")
    assert shown.signing != kid
    assert keywords.NOBODY in keywords.revoked(shown, kid, ENDED)


KID = "-" + "a" * 42


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["keys", "revoke", KID, "--yes"], ["keys", "revoke", "--yes", "--", KID]),
        (["-v", "keys", "revoke", KID], ["-v", "keys", "revoke", "--", KID]),
        (["keys", "revoke", "--", KID], ["keys", "revoke", "--", KID]),
        (["keys", "list", "--name", "a"], ["keys", "list", "--name", "a"]),
        (["status", KID], ["status", KID]),
    ],
)
def test_a_kid_that_begins_with_a_dash_is_no_flag(words: list[str], wanted: list[str]) -> None:
    assert command.shielded(words) == wanted


def test_a_kid_that_begins_with_a_dash_is_read() -> None:
    options = cli._parser().parse_args(command.shielded(["keys", "revoke", KID, "--yes", "-n", "here"]))
    assert (options.kid, options.yes, options.namespace) == (KID, True, "here")


def test_without_a_kubeconfig_the_way_out_is_told(
    tmp_path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["keys", "list", "--kubeconfig", f"{tmp_path}/none"]) == 2
    said = capsys.readouterr().err
    assert "shows no way to an API server" in said
    assert "for a running `edgerun local` give --directory DIR" in said

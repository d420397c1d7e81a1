from __future__ import annotations

import asyncio
import base64

import bcrypt
import pytest
from starlette.responses import PlainTextResponse

from exporter.self_metrics import SelfMetrics
from exporter.web.access import (
    MAX_CHECKS,
    Access,
    AccessMiddleware,
    Bucket,
    Passwords,
    TooBusy,
    credentials,
    matches,
    network,
)
from exporter.web.refusals import Refusals
from tests.unit.web.asgi import serving

SCRAPER = "198.51.100.1"
HASHED = bcrypt.hashpw(b"right", bcrypt.gensalt(4))
USERS = {"alice": HASHED, "long": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}


def are_correct(*attempts: tuple[str, bytes]) -> list[bool]:
    async def check() -> list[bool]:
        passwords = Passwords()
        return [await passwords.are_correct(USERS, *attempt, SCRAPER) for attempt in attempts]

    return asyncio.run(check())


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [
        ("alice", b"right", True),
        ("alice", b"wrong", False),
        ("alice", b"", False),
        ("alice", b"ri\0ght", False),
        ("bob", b"right", False),
        ("", b"right", False),
        ("long", b"x" * 100, True),  # bcrypt looks at 72 bytes
    ],
)
def test_only_a_known_user_with_the_right_password_comes_in(user: str, password: bytes, right: bool) -> None:
    assert are_correct((user, password), (user, password)) == [right, right]


def test_a_right_password_is_hashed_once_and_a_wrong_one_each_time() -> None:
    hashed: list[bytes] = []

    def counted(password: bytes, hash_: bytes) -> bool:
        hashed.append(password)
        return matches(password, hash_)

    async def check() -> list[bool]:
        passwords = Passwords(counted)
        attempts = [b"right"] * 3 + [b"wrong"] * 3
        return [await passwords.are_correct(USERS, "alice", attempt, SCRAPER) for attempt in attempts]

    assert asyncio.run(check()) == [True] * 3 + [False] * 3
    assert hashed == [b"right", b"wrong", b"wrong", b"wrong"]


def test_a_changed_hash_forgets_the_old_password() -> None:
    async def check() -> list[bool]:
        passwords = Passwords()
        new = {"alice": bcrypt.hashpw(b"new", bcrypt.gensalt(4))}
        return [await passwords.are_correct(users, "alice", b"right", SCRAPER) for users in (USERS, new)]

    assert asyncio.run(check()) == [True, False]


def outcomes(*attempts: tuple[str, bytes]) -> list[object]:
    """Of passwords for alice that arrive at once, each from its client."""

    async def check() -> list[object]:
        passwords = Passwords()
        checks = (passwords.are_correct(USERS, "alice", password, client) for client, password in attempts)
        return [
            type(o) if isinstance(o, Exception) else o for o in await asyncio.gather(*checks, return_exceptions=True)
        ]

    return asyncio.run(check())


def guesses(client: str, count: int) -> list[tuple[str, bytes]]:
    return [(client, b"%d" % n) for n in range(count)]


@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::7", "unknown"])
def test_two_unchecked_passwords_of_an_address_wait_and_no_more(client: str) -> None:
    assert outcomes(*guesses(client, 5)) == [False, False, TooBusy, TooBusy, TooBusy]


def test_guessing_keeps_no_other_client_out() -> None:
    assert outcomes(*guesses("192.0.2.7", 50), (SCRAPER, b"right"))[-1] is True


def test_guessing_from_all_of_an_ipv6_network_is_guessing_from_one_address() -> None:
    crowd = [(f"2001:db8::{n:x}", b"%d" % n) for n in range(50)]
    assert outcomes(*crowd, ("2001:db8:0:1::1", b"right")) == [False, False, *[TooBusy] * 48, True]


def test_guessing_from_very_many_addresses_has_a_limit() -> None:
    crowd = [(f"192.0.2.{n}", b"%d" % n) for n in range(MAX_CHECKS + 1)]
    assert outcomes(*crowd) == [False] * MAX_CHECKS + [TooBusy]


def test_several_requests_with_one_password_are_one_check() -> None:
    assert outcomes(*[(SCRAPER, b"right")] * 10, *[("192.0.2.7", b"wrong")] * 10) == [True] * 10 + [False] * 10


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same


@pytest.mark.parametrize(
    ("header", "presented"),
    [
        ("Basic " + base64.b64encode(b"alice:a:b").decode(), ("alice", b"a:b")),
        ("basic " + base64.b64encode(b"alice:").decode(), ("alice", b"")),
        ("", None),
        ("Bearer abc", None),
        ("Basic %%%", None),
        ("Basic /w==", None),
    ],
)
def test_credentials(header: str, presented: tuple[str, bytes] | None) -> None:
    assert credentials(header) == presented


def test_the_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    now = 0.0
    bucket = Bucket(lambda: now)
    assert [bucket.take(1.0, 3) for _ in range(4)] == [True, True, True, False]
    now = 1.0
    assert [bucket.take(1.0, 3) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("path", "is_ready", "header", "status"),
    [
        ("/-/ready", False, "", 503),
        ("/-/ready", True, "", 401),
        ("/-/ready", False, "Basic YTpi", 401),
        ("/metrics", False, "", 401),
    ],
)
def test_a_health_check_without_a_password_sees_only_that_the_exporter_is_not_ready(
    path: str, is_ready: bool, header: str, status: int
) -> None:
    async def test() -> None:
        refusals = Refusals(SelfMetrics(runtime=False))
        app = AccessMiddleware(
            PlainTextResponse("in"), lambda: Access(users=USERS), refusals, lambda each: each != "/-/ready" or is_ready
        )
        async with serving(app) as client:
            answer = await client.get(path, headers={"authorization": header} if header else {})
            assert answer.status_code == status

    asyncio.run(test())

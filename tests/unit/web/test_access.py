from __future__ import annotations

import asyncio
import base64

import bcrypt
import pytest

from exporter.web import access as access_module
from exporter.web.access import Bucket, Passwords, TooBusy, credentials

HASHED = bcrypt.hashpw(b"right", bcrypt.gensalt(4))
USERS = {"alice": HASHED, "long": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))}


def are_right(*attempts: tuple[str, bytes]) -> list[bool]:
    async def check() -> list[bool]:
        passwords = Passwords()
        return [await passwords.are_right(USERS, *attempt) for attempt in attempts]

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
    assert are_right((user, password), (user, password)) == [right, right]


def test_a_right_password_is_hashed_once_and_a_wrong_one_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def matches(password: bytes, hash_: bytes) -> bool:
        hashed.append(password)
        return bcrypt.checkpw(password, hash_)

    monkeypatch.setattr(access_module, "_matches", matches)
    assert are_right(*[("alice", b"right")] * 3, *[("alice", b"wrong")] * 3).count(True) == 3
    assert hashed == [b"right", b"wrong", b"wrong", b"wrong"]


def test_a_changed_hash_forgets_the_old_password() -> None:
    async def check() -> list[bool]:
        passwords = Passwords()
        new = {"alice": bcrypt.hashpw(b"new", bcrypt.gensalt(4))}
        return [await passwords.are_right(users, "alice", b"right") for users in (USERS, new)]

    assert asyncio.run(check()) == [True, False]


def test_guessing_at_a_great_rate_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "MAX_WAITING", 3)

    async def check() -> list[object]:
        passwords = Passwords()
        guesses = (passwords.are_right(USERS, "alice", b"%d" % n) for n in range(5))
        return list(await asyncio.gather(*guesses, return_exceptions=True))

    answers = asyncio.run(check())
    assert answers[:3] == [False] * 3
    assert all(isinstance(answer, TooBusy) for answer in answers[3:])


@pytest.mark.parametrize(
    ("header", "given"),
    [
        ("Basic " + base64.b64encode(b"alice:a:b").decode(), ("alice", b"a:b")),
        ("basic " + base64.b64encode(b"alice:").decode(), ("alice", b"")),
        ("", None),
        ("Bearer abc", None),
        ("Basic %%%", None),
        ("Basic /w==", None),
    ],
)
def test_credentials(header: str, given: tuple[str, bytes] | None) -> None:
    assert credentials(header) == given


def test_the_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    now = 0.0
    bucket = Bucket(lambda: now)
    assert [bucket.takes(1.0, 3) for _ in range(4)] == [True, True, True, False]
    now = 1.0
    assert [bucket.takes(1.0, 3) for _ in range(2)] == [True, False]

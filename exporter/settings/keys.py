"""Where a project's API key comes from. Nothing here prints a key."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr


class KeyUnusable(Exception):
    """There is no key where one should be; the text says why and never holds it."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """One of a file, which is read each time so that a key can be rotated, or a value known from the start."""

    file: str | None = None
    value: SecretStr | None = field(default=None, repr=False)

    def read(self) -> str:
        """The key. Raises KeyUnusable."""
        if self.file is None:
            return _checked(self.value.get_secret_value() if self.value else "", "the API key")
        try:
            text = Path(self.file).read_text(encoding="utf-8")
        except OSError as error:
            raise KeyUnusable(f"{self.file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise KeyUnusable(f"{self.file} does not hold a key: it is not text") from None
        return _checked(text, self.file)


def _checked(text: str, where: str) -> str:
    key = text.strip()
    if not key:
        raise KeyUnusable(f"{where} is empty")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyUnusable(f"{where} does not hold a key: it has characters that no key has")
    return key


def is_open(file: str) -> bool:
    """Whether everyone on the machine can read the file."""
    try:
        return bool(Path(file).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def from_environment(environ: Mapping[str, str], variable: str) -> KeySource | None:
    """None where the variable is not set."""
    value = environ.get(variable)
    return KeySource(value=SecretStr(value)) if value is not None else None

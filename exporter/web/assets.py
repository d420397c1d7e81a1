"""Style and script of the status page, and the Content-Security-Policy of all responses, which allows only these."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Asset:
    """A text embedded in the page. `source`: its hash in the policy."""

    text: str

    @property
    def source(self) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(self.text.encode()).digest()).decode()}'"


STYLE = Asset((TEMPLATES / "status.css").read_text(encoding="utf-8"))
SCRIPT = Asset((TEMPLATES / "status.js").read_text(encoding="utf-8"))
# No other hosts, no other inline code; the page may send requests to this exporter.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {STYLE.source}; script-src {SCRIPT.source}; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def fingerprint() -> str:
    """Fingerprint of style and script, by which an open page detects an upgrade."""
    return hashlib.sha256(f"{STYLE.source}{SCRIPT.source}".encode()).hexdigest()[:16]

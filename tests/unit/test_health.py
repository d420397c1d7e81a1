"""The command line of the health check, and of the daemon that it looks for."""

from __future__ import annotations

import pytest

from exporter.health import read_arguments


@pytest.mark.parametrize(
    ("arguments", "options", "others"),
    [
        ([], {}, []),
        (["/-/ready"], {}, ["/-/ready"]),
        (["--config.file=/a.yml", "/-/ready"], {"config.file": "/a.yml"}, ["/-/ready"]),
        (["--config.file", "/a.yml"], {"config.file": "/a.yml"}, []),
        (["--web.listen-address=:1", "--web.listen-address=:2"], {"web.listen-address": ":1"}, []),
        (["serve", "--log.level=debug", "--web.route-prefix=/x"], {"web.route-prefix": "/x"}, ["serve"]),
        (["--config.file"], {"config.file": ""}, []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_options_that_say_where_the_daemon_listens(
    arguments: list[str], options: dict[str, str], others: list[str]
) -> None:
    assert read_arguments(arguments) == (options, others)

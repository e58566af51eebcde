"""Settings of ``fullband voip sip``: defaults, a TOML file, and what the command line overrides.

A password is never among them: they name the variable or the file that holds it.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from aiosipua.auth import SipDigestAuth
from aiosipua.headers import parse_uri
from pydantic import Field, Strict, field_validator

from ...errors import FullbandError
from ...settings.file import FilePath, Given, Settings, SettingsFile, validated
from ...settings.high_band import HighBandSettings
from ..codecs import DEFAULT_COMPLEXITY, Codec, check_codec, find_codec
from .session import LEAST_SECONDS

_DEFAULT_PORT = 5060

#: Keys that there are not, for a reason.
REFUSED = {"password": "no password in the configuration; name a password_env or a password_file"}

_DEFAULT_CODECS = ["opus", "G722", "PCMU", "PCMA"]


def _sip_uri(text: str) -> str:
    uri = parse_uri(text)
    if not text.lower().startswith("sip:") or not uri.host or any(c.isspace() or c in "<>\"'" for c in text):
        raise ValueError("it has to be a URI such as sip:user@host:5060")
    return text


class AccountSettings(Settings):
    """Who this side is at a provider. *registrar* None: *address*'s host; not registered, it still meets challenges."""

    address: str
    username: str | None = None
    registrar: str | None = None
    #: Every call goes through it first.
    proxy: str | None = None
    register_there: bool = Field(True, alias="register")
    expires_s: int = Field(300, ge=60, le=86_400)
    password_env: str | None = None
    password_file: FilePath | None = None

    _uris = field_validator("address", "registrar", "proxy")(lambda text: text if text is None else _sip_uri(text))

    def credentials(self) -> SipDigestAuth | None:
        """Name and password; None where neither variable nor file is named.

        Raises :class:`FullbandError` where it is named and not there.
        """
        if self.password_env is not None:
            password = os.environ.get(self.password_env)
            if not password:
                raise FullbandError(f"the variable {self.password_env} holds no password; set it, or use password_file")
        elif self.password_file is not None:
            try:
                password = self.password_file.read_text().strip()
            except OSError as error:
                raise FullbandError(f"cannot read password_file {self.password_file}: {error.strerror}") from None
            if not password:
                raise FullbandError(f"password_file {self.password_file} is empty")
        else:
            return None
        return SipDigestAuth(self.username or parse_uri(self.address).user or "", password)


@dataclass(frozen=True)
class Place:
    """Where to listen."""

    protocol: str
    host: str
    port: int


class SipSettings(HighBandSettings):
    """Everything that ``fullband voip sip`` can be told."""

    listen: list[str] = Field(["127.0.0.1:5060"])
    advertise: str | None = None
    symmetric: bool = False
    latch: bool = False
    rtp_ports: Annotated[tuple[int, int], Strict(False)] | None = None
    answer: str | None = None
    bridge_to: str | None = None
    targets: dict[str, str] = Field({})
    codec_in: list[str] = _DEFAULT_CODECS
    codec_out: list[str] = _DEFAULT_CODECS
    opus_complexity: int = Field(DEFAULT_COMPLEXITY, ge=0, le=10)
    ring_seconds: float = Field(60.0, gt=0.0, le=600.0)
    max_calls: int = Field(10, ge=1, le=500)
    max_minutes: float = Field(240.0, gt=0.0)
    silent_seconds: float = Field(120.0, ge=5.0)
    session_seconds: int = Field(1800, ge=0, le=86_400)
    drain_seconds: float = Field(60.0, ge=0.0)
    messages_per_second: float = Field(200.0, gt=0.0)
    calls_per_second: float = Field(10.0, gt=0.0)
    allow: list[str] = Field([])
    records: FilePath | None = None
    metrics_port: int | None = Field(None, ge=0, le=65_535)
    account: AccountSettings | None = None

    @field_validator("bridge_to")
    @classmethod
    def _check_target(cls, value: str | None) -> str | None:
        return value if value is None else _sip_uri(value)

    @field_validator("targets")
    @classmethod
    def _check_targets(cls, value: dict[str, str]) -> dict[str, str]:
        return {name: _sip_uri(target) for name, target in value.items()}

    @field_validator("codec_in", "codec_out")
    @classmethod
    def _check_codecs(cls, value: list[str]) -> list[str]:
        if not value:
            raise ValueError("at least one codec")
        for name in value:
            check_codec(name)
        return value

    @field_validator("listen")
    @classmethod
    def _check_places(cls, value: list[str]) -> list[str]:
        for text in value:
            _place(text)
        if not value:
            raise ValueError("at least one address")
        return value

    @field_validator("allow")
    @classmethod
    def _check_networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("rtp_ports")
    @classmethod
    def _check_ports(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 1024 <= value[0] < value[1] - 1 <= 65_534:
            raise ValueError("two ports from 1024 to 65535, the first below the second")
        return value

    @field_validator("session_seconds")
    @classmethod
    def _check_session(cls, value: int) -> int:
        if 0 < value < LEAST_SECONDS:
            raise ValueError(f"0 for none, or at least {LEAST_SECONDS}")
        return value

    def places(self) -> list[Place]:
        """Where to listen; an address without a protocol is both of them."""
        return [place for text in self.listen for place in _place(text)]

    def codecs_in(self) -> list[Codec]:
        """What callers may use, best first."""
        return [find_codec(name) for name in self.codec_in]

    def codecs_out(self) -> list[Codec]:
        """What callees are offered, best first."""
        return [find_codec(name) for name in self.codec_out]

    def target_of(self, user: str) -> str | None:
        """Whom a call for *user* goes to; None: nobody."""
        return self.targets.get(user, self.bridge_to)


def _place(text: str) -> list[Place]:
    protocols = ["udp", "tcp"]
    head, _, rest = text.partition(":")
    if head in protocols:
        protocols, text = [head], rest
    if text.startswith("["):
        host, _, tail = text[1:].partition("]")
        port_text = tail.removeprefix(":")
    elif text.count(":") > 1:
        host, port_text = text, ""
    else:
        host, _, port_text = text.partition(":")
    port = port_text or str(_DEFAULT_PORT)
    if not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"'{text}' is no address such as 127.0.0.1:5060")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"'{text}' is no address such as 127.0.0.1:5060") from None
    return [Place(protocol, host, int(port)) for protocol in protocols]


def load_sip_settings(path: Path | None, given: dict[str, Any]) -> SipSettings:
    """Settings from the TOML file *path* (None: defaults), overridden by *given*.

    Raises :class:`FullbandError` that names the key, what is wrong with it, and the nearest right one.
    """
    file = None if path is None else SettingsFile(path)
    values = {} if file is None else file.values
    if "answer" in given and "bridge_to" not in given:
        values = {key: value for key, value in values.items() if key not in ("bridge_to", "targets")}
    elif "bridge_to" in given and "answer" not in given:
        values.pop("answer", None)
    settings = validated(SipSettings, values | given, Given(file, given), refused=REFUSED)
    if (settings.answer is None) == (settings.bridge_to is None and not settings.targets):
        raise FullbandError("say one thing that is done with callers: --answer echo or FILE, or --bridge-to sip:…", 2)
    return settings

"""Settings of ``fullband voip web``: defaults, a TOML file, and what the command line overrides.

A token is never among them: they name the variable or the file that holds it.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from ...errors import FullbandError
from ...settings.file import FilePath, Given, SettingsError, SettingsFile, validated
from ...settings.high_band import HighBandSettings
from ..codecs import DEFAULT_COMPLEXITY
from ..media import Address

_DEFAULT_PORT = 8080

#: Keys that there are not, for a reason.
REFUSED = {"token": "no token in the configuration; name a token_env or a token_file"}

#: Shorter ones can be tried one after the other.
_LEAST_TOKEN_CHARACTERS = 16


class WebSettings(HighBandSettings):
    """Everything that ``fullband voip web`` can be told."""

    listen: str = f"127.0.0.1:{_DEFAULT_PORT}"
    media_address: list[str] = Field([])
    opus_complexity: int = Field(DEFAULT_COMPLEXITY, ge=0, le=10)
    cert: FilePath | None = None
    key: FilePath | None = None
    token_env: str = "FULLBAND_WEB_TOKEN"
    token_file: FilePath | None = None
    max_sessions: int = Field(8, ge=1, le=200)
    max_minutes: float = Field(10.0, gt=0.0)
    max_record_seconds: float = Field(60.0, ge=1.0, le=600.0)
    max_upload_mb: float = Field(20.0, gt=0.0, le=500.0)
    max_upload_seconds: float = Field(120.0, gt=0.0, le=3600.0)
    silent_seconds: float = Field(30.0, ge=5.0)
    drain_seconds: float = Field(60.0, ge=0.0)
    requests_per_second: float = Field(20.0, gt=0.0)
    sessions_per_second: float = Field(1.0, gt=0.0)
    records: FilePath | None = None
    metrics_port: int | None = Field(None, ge=0, le=65_535)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        _place(value)
        return value

    @field_validator("media_address")
    @classmethod
    def _check_media(cls, value: list[str]) -> list[str]:
        for text in value:
            if ipaddress.ip_address(text).is_unspecified:
                raise ValueError(f"'{text}' is no address that a browser could send to")
        return value

    def place(self) -> Address:
        """Where to listen."""
        return _place(self.listen)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.place()[0]).is_loopback

    def media_addresses(self) -> list[str]:
        """Where media is bound; empty: on all addresses of this machine."""
        host = self.place()[0]
        return self.media_address or ([] if ipaddress.ip_address(host).is_unspecified else [host])

    def token(self) -> str | None:
        """What a page has to know; None: nothing. Raises :class:`FullbandError` where it is named and not there."""
        if self.token_file is not None:
            try:
                token = self.token_file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is no text"
                raise FullbandError(f"cannot read token_file {self.token_file}: {reason}") from None
        else:
            token = os.environ.get(self.token_env, "").strip()
        if self.token_file is None and not token:
            return None
        if len(token) < _LEAST_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable() or " " in token:
            where = self.token_file or f"the variable {self.token_env}"
            raise FullbandError(f"the token in {where} has to be {_LEAST_TOKEN_CHARACTERS} or more printable letters")
        return token

    def tls(self) -> ssl.SSLContext | None:
        """For HTTPS; None: plain HTTP. Raises :class:`FullbandError` where the files are no certificate and key."""
        if self.cert is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password callback OpenSSL would ask at the terminal.
            context.load_cert_chain(self.cert, self.key, password=lambda: "")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
            key = f" and {self.key}" if self.key else ""
            raise FullbandError(f"cannot use the certificate {self.cert}{key}: {reason}") from None
        return context


def _place(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (text.count(":") > 1 and not text.startswith("[")):
        host, port = text, str(_DEFAULT_PORT)
    host = host.strip("[]") or "127.0.0.1"
    try:
        ipaddress.ip_address(host)
        if not port.isdecimal() or int(port) > 65_535:
            raise ValueError
    except ValueError:
        raise ValueError(f"'{text}' is no address such as 127.0.0.1:{_DEFAULT_PORT}") from None
    return host, int(port)


def load_web_settings(path: Path | None, given: dict[str, Any]) -> WebSettings:
    """Settings from the TOML file *path* (None: defaults), overridden by *given*.

    Raises :class:`FullbandError` that names the key, what is wrong with it, and the nearest right one; and where others
    than this machine could reach it without a token and TLS.
    """
    try:
        file = None if path is None else SettingsFile(path)
        values = {} if file is None else file.values
        settings = validated(WebSettings, values | given, Given(file, given), refused=REFUSED)
    except SettingsError as error:
        raise SettingsError(error.problems, exit_status=2) from None
    if settings.key is not None and settings.cert is None:
        raise FullbandError("--key needs --cert", 2)
    if not settings.is_loopback and (settings.cert is None or settings.token() is None):
        raise FullbandError(
            f"{settings.listen} can be reached by others: it needs --cert FILE (TLS), and a token in the variable "
            f"{settings.token_env} or in --token-file FILE; or listen on 127.0.0.1",
            2,
        )
    return settings

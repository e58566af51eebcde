"""Where the page may be served, and what that needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from realtime.errors import FullbandError
from realtime.paths import CONFIGS
from realtime.voip.web.settings import WebSettings, load_web_settings


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULLBAND_WEB_TOKEN", raising=False)


def test_loopback_needs_nothing_and_is_the_default() -> None:
    settings = load_web_settings(None, {})
    assert settings.is_loopback
    assert settings.token() is None
    assert settings.tls() is None
    assert settings.media_addresses() == ["127.0.0.1"]


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1"])
def test_another_address_needs_a_token_and_tls(listen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FullbandError, match=r"can be reached by others.*--cert.*FULLBAND_WEB_TOKEN"):
        load_web_settings(None, {"listen": listen})
    with pytest.raises(FullbandError, match="can be reached by others"):
        load_web_settings(None, {"listen": listen, "cert": tmp_path / "cert.pem"})
    monkeypatch.setenv("FULLBAND_WEB_TOKEN", "a token of the right size")
    with pytest.raises(FullbandError, match="16 or more printable letters"):
        load_web_settings(None, {"listen": listen, "cert": tmp_path / "cert.pem"})
    monkeypatch.setenv("FULLBAND_WEB_TOKEN", "a-token-of-the-right-size")
    settings = load_web_settings(None, {"listen": listen, "cert": tmp_path / "cert.pem"})
    assert not settings.is_loopback
    with pytest.raises(FullbandError, match="cannot use the certificate"):
        settings.tls()


def test_a_token_comes_from_a_file_and_its_absence_is_named(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(FullbandError, match="cannot read token_file"):
        WebSettings(token_file=file).token()
    file.write_text("short\n")
    with pytest.raises(FullbandError, match="16 or more"):
        WebSettings(token_file=file).token()
    file.write_text("0123456789abcdef\n")
    assert WebSettings(token_file=file).token() == "0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"listen": "nowhere:80"}, "is no address such as 127.0.0.1:8080"),
        ({"listen": "127.0.0.1:99999"}, "is no address"),
        ({"media_address": ["0.0.0.0"]}, "no address that a browser could send to"),
        ({"max_sessions": 0}, "it can be 1 or more"),
        ({"key": Path("key.pem")}, "--key needs --cert"),
        ({"token": "secret"}, "no token in the configuration"),
        ({"max_session": 3}, "did you mean 'max_sessions'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(given: dict[str, object], line: str) -> None:
    with pytest.raises(FullbandError, match=line) as error:
        load_web_settings(None, given)
    assert error.value.exit_status == 2
    assert "\n" not in str(error.value)


def test_the_shipped_configuration_is_what_it_says_it_is() -> None:
    assert load_web_settings(CONFIGS / "web.toml", {}) == WebSettings()


@pytest.mark.parametrize(
    ("text", "place"),
    [("::1", ("::1", 8080)), ("[::1]:81", ("::1", 81)), (":82", ("127.0.0.1", 82)), ("127.0.0.1", ("127.0.0.1", 8080))],
)
def test_addresses_are_read_as_people_write_them(text: str, place: tuple[str, int]) -> None:
    assert WebSettings(listen=text).place() == place


def test_a_certificate_serves_with_its_own_key_and_with_no_other(tmp_path: Path) -> None:
    files = {}
    for name in ("one", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        for kind, content in (
            ("cert", certificate.public_bytes(Encoding.PEM)),
            ("key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
            ("locked", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))),
        ):
            files[name, kind] = tmp_path / f"{name}.{kind}"
            files[name, kind].write_bytes(content)
    assert WebSettings(cert=files["one", "cert"], key=files["one", "key"]).tls() is not None
    for wrong in (files["other", "key"], files["one", "locked"], tmp_path / "none"):
        with pytest.raises(FullbandError, match="cannot use the certificate") as error:
            WebSettings(cert=files["one", "cert"], key=wrong).tls()
        assert "\n" not in str(error.value)

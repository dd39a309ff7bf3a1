"""A secret that systemd hands to the service is found, however the unit names it, before any file."""

from pathlib import Path

import pytest

from config.errors import Halted
from gateway.secrets import Secrets


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site" / "secrets").mkdir(parents=True)
    (tmp_path / "credentials").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.delenv("ECOSENTRY_SECRET_INFLUX_TOKEN", raising=False)
    beside = tmp_path / "site" / "secrets" / "influx-token"
    beside.write_text("from the file\n")
    beside.chmod(0o600)
    return tmp_path


@pytest.mark.parametrize("name", ["influx-token", "secrets_influx-token"])  # LoadCredential=NAME:FILE and LoadCredential=secrets:FOLDER
def test_a_credential_goes_before_variable_and_file(given: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    secret = Secrets(str(given / "site" / "site.toml"))
    assert secret("influx-token") == "from the file"
    monkeypatch.setenv("ECOSENTRY_SECRET_INFLUX_TOKEN", "from the variable")
    assert secret("influx-token") == "from the variable"
    (given / "credentials" / name).write_text("from systemd\n")
    assert secret("influx-token") == "from systemd"


def test_a_missing_secret_names_every_place_where_it_was_looked_for(given: Path):
    with pytest.raises(Halted, match="secret hook-key is missing") as halted:
        Secrets(str(given / "site" / "site.toml"))("hook-key")
    for place in (f"{given}/credentials/hook-key", f"{given}/credentials/secrets_hook-key", "/etc/ecosentry/secrets/hook-key",
                  f"{given}/site/secrets/hook-key", "$ECOSENTRY_SECRET_HOOK_KEY"):
        assert place in str(halted.value)

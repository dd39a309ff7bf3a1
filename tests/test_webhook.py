"""Webhooks are signed so that every receiver of the Standard Webhooks specification can check them."""

import base64
import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks
from far_sides import SECRETS, around, make
from hypothesis import given, settings
from hypothesis import strategies as st
from notices import NOTICE
from pydantic import ValidationError
from servers import Answer, ScriptedServer
from waiting import soon

from config.errors import ConfigError, Gone, Halted, Refused, Unavailable
from gateway.channels import webhook
from gateway.channels._document import document
from gateway.channels._signature import BadKey, BadSignature, key_bytes, sign, verify
from gateway.contracts import Notice

VECTORS = json.loads((Path(__file__).parent / "cases/webhooks/vectors.json").read_text("utf-8"))["vectors"]
T = 1_790_000_000


def hook(url: str, **options):
    return make("channels", "webhook", {"key": {"secret": "hook"}, "url": url} | options)


@pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])
def test_the_published_vectors_hold(vector: dict) -> None:
    keys, headers, body = [key_bytes(vector["secret"])], vector["headers"], vector["body"].encode()
    if vector["valid"]:
        verify(keys, headers, body, vector["now"])
        made = sign(keys, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert made["webhook-signature"] in headers["webhook-signature"].split(" ")
    else:
        with pytest.raises(BadSignature):
            verify(keys, headers, body, vector["now"])


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.binary(min_size=24, max_size=64), st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True), st.text(max_size=50))
def test_what_we_sign_the_reference_library_signs_the_same(key: bytes, message_id: str, body: str) -> None:
    at = datetime.fromtimestamp(T, UTC)
    theirs = standardwebhooks.Webhook(base64.b64encode(key).decode()).sign(message_id, at, body)
    assert sign([key], message_id, T, body.encode())["webhook-signature"] == theirs


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_" + base64.b64encode(b"x" * 23).decode(), base64.b64encode(b"x" * 65).decode(),
                                  "whsec_not base64!", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "密钥"])
def test_a_key_that_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(BadKey) as said:
        key_bytes(text)
    assert not text.removeprefix("whsec_") or text.removeprefix("whsec_") not in str(said.value)


@pytest.mark.parametrize("message_id", ["msg_a.1614265330", "", "a b", "ä", "a\r\nX: y", "x" * 256])
def test_an_id_that_could_move_a_boundary_is_never_signed(message_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        sign([b"x" * 24], message_id, T, b"")
    with ScriptedServer(Answer(200)) as server:
        c = hook(server.url)
        with pytest.raises(Refused):
            c.tell(Notice(message_id, T * 10**9, "test", "", {}), soon())
        assert not server.requests
        c.close()


def test_a_receiver_with_the_reference_library_accepts_the_message() -> None:
    with ScriptedServer(Answer(204)) as server:
        c = hook(server.url)
        c.tell(NOTICE, soon())
        [request] = server.requests
        told = standardwebhooks.Webhook(SECRETS["hook"]).verify(request.body, request.headers)
        assert told["data"]["value"] == 1.12
        assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
        c.close()


def test_every_try_has_the_same_body_and_id_and_a_stamp_of_its_own() -> None:
    now = iter([T, T + 3600])
    options = webhook.Options(key={"secret": "hook"})
    with ScriptedServer(Answer(500), Answer(200)) as server:
        c = webhook.Channel(options, around("hook", server.url + "/x"), utc_s=lambda: next(now))
        with pytest.raises(Unavailable, match="500"):
            c.tell(NOTICE, soon())
        c.tell(NOTICE, soon())
        one, two = server.requests
        assert one.body == two.body == document(NOTICE)
        assert one.headers["webhook-id"] == two.headers["webhook-id"] == NOTICE.id
        assert (one.headers["webhook-timestamp"], two.headers["webhook-timestamp"]) == (str(T), str(T + 3600))
        for request, at in ((one, T), (two, T + 3600)):
            verify([key_bytes(SECRETS["hook"])], request.headers, request.body, at)
        c.close()


def test_while_a_key_is_changed_the_receiver_may_have_either() -> None:
    with ScriptedServer(Answer(204)) as server:
        c = hook(server.url, key=[{"secret": "hook"}, {"secret": "old-hook"}])
        c.tell(NOTICE, soon())
        [request] = server.requests
        for name in ("hook", "old-hook"):
            standardwebhooks.Webhook(SECRETS[name]).verify(request.body, request.headers)
        c.close()


def test_gone_is_gone_and_all_else_is_tried_again() -> None:
    for status in (400, 401, 403, 404, 409, 413, 422, 500, 502, 504):
        with ScriptedServer(Answer(status, body=b"<b>sorry</b>")) as server:
            c = hook(server.url)
            with pytest.raises(Unavailable, match=f"{status}: sorry"):
                c.tell(NOTICE, soon())
            c.close()
    with ScriptedServer(Answer(410)) as server:
        c = hook(server.url)
        with pytest.raises(Gone, match="gone for good"):
            c.tell(NOTICE, soon())
        with pytest.raises(Gone):
            c.check(soon())
        c.close()


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_handed_on(status: int) -> None:
    with ScriptedServer(Answer(status, {"Retry-After": "42"})) as server:
        c = hook(server.url)
        with pytest.raises(Unavailable) as said:
            c.tell(NOTICE, soon())
        assert said.value.after_s == 42
        c.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    with ScriptedServer(Answer(204)) as inside, ScriptedServer(Answer(status, {"Location": inside.url + "/admin"})) as server:
        c = hook(server.url)
        with pytest.raises(Unavailable, match="not followed"):
            c.tell(NOTICE, soon())
        assert len(server.requests) == 1
        assert not inside.requests
        c.close()


@pytest.mark.parametrize("address", ["ftp://h/x", "file:///etc/passwd", "gopher://h", "https://", "hook.example.org/x", "https://u:p@h/x",
                                     "https://h/a b", "https://h/x#y", "http://h:99999/", "javascript:alert(1)", "", "https://h/\r\nX"])
def test_an_address_that_is_none_is_refused_before_the_start(address: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        webhook.Channel(webhook.Options(key={"secret": "hook"}), around("hook", address))
    if address:
        with pytest.raises(ValidationError):
            webhook.Options(key={"secret": "hook"}, url=address)


def test_in_the_clear_only_to_ones_own_network() -> None:
    c = hook("http://8.8.8.8/hook")
    with pytest.raises(Halted, match=r"public internet.*write https"):
        c.tell(NOTICE, soon())
    c.close()


@pytest.mark.parametrize(("name", "words"), [("absent", "no secret"), ("token", 'the secret "token" (is not base64|holds)')])
def test_a_key_that_is_missing_or_unusable_halts_and_says_which(name: str, words: str) -> None:
    with ScriptedServer() as server:
        c = hook(server.url, key={"secret": name})
        for work in (lambda: c.tell(NOTICE, soon()), lambda: c.check(soon())):
            with pytest.raises(Halted, match=words) as said:
                work()
            assert SECRETS["token"] not in str(said.value)
        assert not server.requests
        c.close()


def test_numbers_that_json_does_not_have_are_null() -> None:
    told = json.loads(document(Notice("x", T * 10**9, "test", "s", {"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": 1.5})))
    assert told["data"] == {"a": None, "b": [None, {"c": None}], "d": 1.5}

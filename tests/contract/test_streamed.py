"""The contract of drivers that listen to a stream: cut anywhere, noisy, silent, another model, pulled, stopped, a full queue.

It runs on every protocol of `drivers/protocols/` whose devices speak by themselves on a line of bytes.
"""

import itertools
import math
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import field_devices
import pytest
from field_devices import FarEnd
from hypothesis import given, settings
from hypothesis import strategies as st
from line_house import LineHouse
from virtual import VirtualClock

from config.series import Reason
from drivers.codecs import nmea, ultrasonic
from drivers.driver import Heard, Streamed, Told
from drivers.lines import serial, tcp
from drivers.reading import Batch
from gateway.clock import SystemClock
from gateway.listener import Listener


@dataclass(frozen=True)
class Kind:
    """One protocol: a profile for it, its frames by number, and what the first quantity of each says."""

    profile: str | Path
    frame: Callable[[int], bytes]
    first: Callable[[int], float]
    is_checked: bool = True


CASES = Path(__file__).parent.parent / "cases"
RANGE = CASES / "ultrasonic_stream/ultrasonic_stream.toml"
KINDS_HEARD = {
    "frames-plantower": Kind("plantower_pms5003", field_devices.plantower_frame, lambda number: 10.0 + number),
    "frames-sds011": Kind("nova_sds011", field_devices.sds011_frame, lambda number: 20.5 + number),
    "frames-ultrasonic": Kind(RANGE, field_devices.ultrasonic_frame, lambda number: (1000 + number) / 1000),
    "nmea": Kind("nmea_wind", lambda number: nmea.build("IIMWV", (f"{number}.0", "R", "3.5", "M", "A")), float),
    "text_lines": Kind("lutron_sl4023sd", lambda number: b"\x02411701%08d\r" % (500 + 10 * number), lambda number: 50.0 + number, is_checked=False),
}


def every(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("name", KINDS_HEARD)(test)


def firsts(batches: Iterable[Batch]) -> list[float]:
    """The values of the first quantity of each frame."""
    return [float(value) for batch in batches for which, value in zip(batch.which, batch.raw, strict=True) if which == 0]


def begun(kind: Kind) -> Told:
    """A driver that has heard the end of a frame, as after opening a line."""
    driver = field_devices.streamed(kind.profile)
    assert isinstance(driver, Streamed)
    driver.begin()
    list(driver.hear(Heard("", b"\r\n", VirtualClock().now())))
    return driver


def hear(driver: Told, pieces: Iterable[bytes], clock: VirtualClock | None = None, pause_s: float = 0.01) -> list[Batch]:
    clock, found = clock or VirtualClock(), []
    for piece in pieces:
        clock.go_on(pause_s)
        found += list(driver.hear(Heard("", piece, clock.now())))
    return found


@every
def test_every_frame_is_one_reading_with_a_time_of_its_own(name):
    kind = KINDS_HEARD[name]
    batches = hear(begun(kind), [b"".join(map(kind.frame, range(20)))])
    assert firsts(batches) == [kind.first(number) for number in range(20)]
    for index in range(len(batches[0].series)):
        at = [int(at) for batch in batches for which, at in zip(batch.which, batch.at, strict=True) if which == index]
        assert len(set(at)) == len(at)
    assert all(reason == Reason.NORMAL for batch in batches for reason in batch.reason)


@every
@given(cuts=st.lists(st.integers(0, 2000), max_size=40))
@settings(max_examples=30, deadline=None)
def test_it_makes_no_difference_in_which_pieces_the_stream_comes(name, cuts):
    kind = KINDS_HEARD[name]
    stream = b"".join(map(kind.frame, range(10)))
    places = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert firsts(hear(begun(kind), pieces)) == [kind.first(number) for number in range(10)]


@every
def test_a_stream_that_is_joined_in_the_middle_of_a_frame_costs_that_frame_only(name):
    kind = KINDS_HEARD[name]
    frame = kind.frame(1)
    for cut in range(1, len(frame)):
        driver = field_devices.streamed(kind.profile)
        driver.begin()
        assert firsts(hear(driver, [frame[cut:], kind.frame(2), kind.frame(3)])) == [kind.first(2), kind.first(3)], cut


@every
def test_a_frame_that_loses_its_first_or_last_bytes_never_becomes_another_value(name):
    kind = KINDS_HEARD[name]
    for cut in range(1, len(kind.frame(2))):
        for lost in (kind.frame(2)[cut:], kind.frame(2)[:-cut]):
            heard = firsts(hear(begun(kind), [kind.frame(1), lost, kind.frame(3), kind.frame(4), kind.frame(5)]))
            assert set(heard) <= {kind.first(number) for number in range(1, 6)}, (cut, lost)
            assert heard[0] == kind.first(1)
            assert heard[-2:] == [kind.first(4), kind.first(5)]


@pytest.mark.parametrize("case", sorted(path.parent.name for path in CASES.glob("*/heard.hex")))
def test_no_shipped_sensor_is_misread_when_bytes_are_lost_at_the_end_of_what_it_says(case):
    """Each piece of its case without its first or its last bytes, between whole ones."""
    pieces = [bytes.fromhex(line) for line in (CASES / case / "heard.hex").read_text("utf-8").splitlines()]
    right = _said(field_devices.streamed(case), pieces)
    assert right
    for place, piece in enumerate(pieces):
        for cut in range(1, len(piece)):
            for lost in (piece[cut:], piece[:-cut]):
                heard = _said(field_devices.streamed(case), [*pieces[:place], lost, *pieces[place + 1 :], *pieces])
                assert heard >= right, (place, cut)
                assert heard <= right, (place, cut, lost)


def _said(driver: Told, pieces: Iterable[bytes]) -> set[tuple[str, str, float]]:
    """Quantity, channel and value of everything that is read in a stream."""
    assert isinstance(driver, Streamed)
    driver.begin()
    return {(batch.series[which].quantity, batch.series[which].channel, float(value))
            for batch in hear(driver, pieces, pause_s=0.5) for which, value in zip(batch.which, batch.raw, strict=True)}


@every
def test_what_was_begun_before_a_silence_or_a_new_opening_is_not_continued(name):
    kind = KINDS_HEARD[name]
    for cut in range(1, len(kind.frame(1).rstrip(b"\r\n"))):
        for opened_anew in (False, True):
            driver, clock = begun(kind), VirtualClock()
            assert hear(driver, [kind.frame(1)[:cut]], clock) == []
            clock.go_on(5)
            if opened_anew:
                driver.begin()
            got = firsts(hear(driver, [kind.frame(2)[cut:], kind.frame(3), kind.frame(4)], clock))
            assert got[-2:] == [kind.first(3), kind.first(4)], cut
            assert set(got) <= {kind.first(3), kind.first(4)}, cut


@every
def test_a_pause_between_frames_is_no_silence(name):
    kind = KINDS_HEARD[name]
    assert firsts(hear(begun(kind), map(kind.frame, range(5)), pause_s=2.3)) == [kind.first(number) for number in range(5)]


@every
def test_on_a_noisy_stream_wrong_values_are_as_rare_as_its_checksum_can_make_them(name):
    """20 000 frames, each with one to three damaged bytes: accepted and wrong at most the 99.9 % bound of 1 in 256."""
    kind = KINDS_HEARD[name]
    if not kind.is_checked:
        pytest.skip("lines of text have no checksum: a line must fit its pattern whole, and plausibility is the second guard")
    chance, tried = random.Random(7), 20_000
    frames = {number: kind.frame(number) for number in range(8)}
    right = {kind.first(number) for number in frames}
    stream = bytearray()
    for _ in range(tried):
        frame = bytearray(frames[chance.randrange(8)])
        for _ in range(chance.randint(1, 3)):
            frame[chance.randrange(len(frame))] ^= chance.randint(1, 255)
        stream += frame
    driver = begun(kind)
    pieces = [bytes(stream[at : at + 61]) for at in range(0, len(stream), 61)]
    wrong = sum(value not in right for value in firsts(hear(driver, pieces)))
    mean = tried / 256
    assert wrong <= mean + 3.1 * mean**0.5
    trouble = driver.trouble()
    assert trouble is not None
    assert trouble.cause == "noise"
    assert firsts(hear(driver, [kind.frame(3), kind.frame(4)]))[-1] == kind.first(4)


@every
def test_a_stream_of_another_model_is_told_with_its_likely_cause(name):
    driver, chance = begun(KINDS_HEARD[name]), random.Random(3)
    assert hear(driver, [chance.randbytes(100).replace(b"*", b"") for _ in range(60)]) == []
    trouble = driver.trouble()
    assert trouble is not None
    assert "baud rate" in trouble.words or "checksum" in trouble.words
    assert driver.trouble() is None, "told once, not at every piece"


def test_of_a_sensor_that_says_more_than_is_wanted_one_reading_in_each_span_is_taken():
    driver = field_devices.streamed("dfrobot_a02yyuw")
    heard = hear(driver, map(field_devices.ultrasonic_frame, range(41)), pause_s=0.1)
    assert firsts(heard) == [1.0, 1.01, 1.02, 1.03, 1.04]
    assert driver.trouble() is None, "what is left out is no noise"


@pytest.mark.parametrize(("profile", "said", "value"), [
    ("dfrobot_a02yyuw", ultrasonic.build(0), math.nan), ("dfrobot_a02yyuw", ultrasonic.build(1), 0.001),
    ("campbell_sr50a", b"\r\n\x03\x0233;-999;000;11011;4E\r\n", math.nan), ("campbell_sr50a", b"\r\n\x03\x0233;9999;180;11011;3C\r\n", 9.999)])
def test_a_stream_that_says_no_echo_gives_a_missing_value_with_its_reason(profile, said, value):
    (batch,) = hear(field_devices.streamed(profile), [said])
    assert str(batch.raw.tolist()) == str([value])
    assert batch.reason.tolist() == [Reason.FAULT if math.isnan(value) else Reason.NORMAL]


# ── real lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────
class House(LineHouse):
    """A listener in its thread."""

    def __init__(self, line: serial.Line | tcp.Line, kind: Kind, interval_s: float = 0.3) -> None:
        driver = field_devices.streamed(kind.profile, interval_s=interval_s)
        super().__init__(["probe"], lambda house: Listener("bus", line, {"probe": driver}, SystemClock(), house.take, house.health))

    @property
    def heard(self) -> list[float]:
        return firsts(self.batches())


def line_on(far: FarEnd) -> serial.Line:
    return serial.Line("bus", serial.Options(port=str(far.link), baudrate=115200), str)


@every
def test_a_stream_on_a_port_is_heard_and_a_pulled_wire_is_found_again_within_5_s(name, tmp_path):
    kind = KINDS_HEARD[name]
    with FarEnd(tmp_path / "port") as far, House(line_on(far), kind) as house:
        house.until(lambda: house.health.line()["state"] == "open")
        for number in range(1, 4):
            for byte in b"\r\n" + kind.frame(number):
                far.say(bytes((byte,)))
        house.until(lambda: len(house.heard) == 3)
        assert house.heard == [kind.first(number) for number in range(1, 4)]
        assert house.health.devices(time.monotonic_ns())[0]["state"] == "good"
        far.pull()
        house.until(lambda: house.health.line()["state"] == "lost")
        far.plug()
        back = time.monotonic()
        house.until(lambda: house.health.line()["state"] == "open")
        house.until(lambda: far.say(b"\r\n" + kind.frame(7)) is None and kind.first(7) in house.heard)
        assert time.monotonic() - back <= 5.0


@every
def test_two_hundred_damaged_frames_on_a_port_leave_the_good_ones_between_them_unharmed(name, tmp_path):
    kind, chance = KINDS_HEARD[name], random.Random(5)
    if not kind.is_checked:
        pytest.skip("lines of text have no checksum")
    with FarEnd(tmp_path / "port") as far, House(line_on(far), kind) as house:
        house.until(lambda: house.health.line()["state"] == "open")
        far.say(b"\r\n")
        for number in range(200):
            frame = bytearray(kind.frame(1))
            frame[chance.randrange(2, max(3, len(frame) - 3))] ^= chance.randint(1, 255)
            far.say(bytes(frame) + (b"\r\n" + kind.frame(2) if number % 10 == 9 else b""))
            time.sleep(0.002)
        house.until(lambda: house.heard.count(kind.first(2)) == 20)
    assert set(house.heard) == {kind.first(2)}
    assert house.health.devices(time.monotonic_ns())[0]["causes"]["noise"] >= 1


@every
def test_a_sensor_that_falls_silent_is_told(name, tmp_path):
    kind = KINDS_HEARD[name]
    with FarEnd(tmp_path / "port") as far, House(line_on(far), kind) as house:
        house.until(lambda: house.health.line()["state"] == "open")
        far.say(b"\r\n" + kind.frame(1))
        house.until(lambda: len(house.heard) == 1)
        house.until(lambda: house.health.devices(time.monotonic_ns())[0]["state"] == "silent")
        far.say(kind.frame(2))
        house.until(lambda: house.health.devices(time.monotonic_ns())[0]["state"] == "good")


def test_noise_is_counted_for_the_device_and_does_not_end_the_line(tmp_path):
    kind = KINDS_HEARD["frames-plantower"]
    with FarEnd(tmp_path / "port") as far, House(line_on(far), kind) as house:
        house.until(lambda: house.health.line()["state"] == "open")
        spoilt = bytearray(kind.frame(1))
        spoilt[9] ^= 1
        far.say(bytes(spoilt))
        house.until(lambda: house.health.devices(time.monotonic_ns())[0]["causes"].get("noise") == 1)
        assert "checksum" in house.health.devices(time.monotonic_ns())[0]["words"]
        far.say(kind.frame(2))
        house.until(lambda: house.heard == [kind.first(2)])


def test_a_queue_that_stays_full_costs_counted_readings_and_no_more(tmp_path):
    kind = KINDS_HEARD["frames-sds011"]
    with FarEnd(tmp_path / "port") as far, House(line_on(far), kind) as house:
        house.until(lambda: house.health.line()["state"] == "open")
        house.is_full = True
        far.say(kind.frame(1))
        house.until(lambda: house.health.line()["causes"].get("dropped") == 2)  # both its values
        house.is_full = False
        far.say(kind.frame(2))
        house.until(lambda: house.heard == [kind.first(2)])


def test_stop_is_quick_with_and_without_a_port(tmp_path):
    kind = KINDS_HEARD["nmea"]
    with FarEnd(tmp_path / "port") as far:
        for line in (line_on(far), serial.Line("bus", serial.Options(port=str(tmp_path / "gone")), str)):
            house = House(line, kind)
            with house:
                house.until(lambda house=house: house.health.line()["state"] in ("open", "lost"))
                began = time.monotonic()
            assert time.monotonic() - began < 0.8


def test_a_port_that_is_not_there_says_what_to_do(tmp_path):
    with House(serial.Line("bus", serial.Options(port=str(tmp_path / "gone")), str), KINDS_HEARD["nmea"]) as house:
        house.until(lambda: "plugged in" in house.health.line()["words"])


def test_a_stream_through_a_converter_is_heard_and_found_again():
    kind = KINDS_HEARD["nmea"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        options = tcp.Options(host="127.0.0.1", port=server.getsockname()[1], framing="rtu")
        with House(tcp.Line("mast", options, str), kind) as house:
            for number in (1, 2):
                peer, _ = server.accept()
                with peer:
                    peer.sendall(b"\r\n" + kind.frame(number))
                    house.until(lambda number=number: kind.first(number) in house.heard)
        assert Counter(house.heard) == {kind.first(1): 1, kind.first(2): 1}

"""Sparkplug B: what an independent encoder writes is read to the bit, nothing is ever guessed, births are asked for with patience."""

import itertools
import math
import random

import field_devices
import pytest
import servers
import sparkplug_peer as peer
from hypothesis import example, given
from hypothesis import strategies as st
from mqtt_devices import NOW_NS, Journal, Notebook, RealClock, Running, heard
from sparkplug_peer import metric, parsed, payload
from waiting import until

from config.errors import Undecodable
from config.series import Origin, Reason
from drivers.codecs import sparkplug, sparkplug_topics
from drivers.codecs.frame import NotAFrame
from drivers.driver import Converses, Heard
from drivers.lines._mqtt_hearing import Hearing, Poison
from drivers.lines._receipts import Receipts
from drivers.lines.mqtt import Line, Options
from drivers.protocols.sparkplug import Driver
from drivers.reading import Stamp

MS = NOW_NS // 10**6
BD = metric("bdSeq", 7, peer.INT64)


def driver(device: str = "D", **more) -> Driver:
    made = field_devices.told("sparkplug_b", line="mqtt", group="G", node="E", device=device, **more)
    assert isinstance(made, Driver)
    assert isinstance(made, Converses)
    return made


def say(verb: str, metrics, seq: int | None, device: str = "D", timestamp: int | None = MS) -> Heard:
    topic = f"spBv1.0/G/{verb}/E" + (f"/{device}" if verb[0] == "D" else "")
    return heard(payload(metrics, seq, timestamp), topic)


def rows(batches) -> list[tuple[str, str, float, int, int, bool]]:
    return [(b.series[w].quantity, b.series[w].channel, float(v), int(r), int(b.origin), b.own_time)
            for b in batches for w, v, r in zip(b.which, b.raw, b.reason, strict=True)]


def born(of: Driver, *metrics) -> Driver:
    assert of.hear(say("NBIRTH", [BD], 0)) == []
    of.hear(say("DBIRTH", metrics or [metric("pm10", 1.0, peer.DOUBLE, 11), metric("ph", 7.0, peer.FLOAT, 12)], 1))
    return of


# ── bytes ──
CASES = [
    (peer.INT8, -100), (peer.INT16, -30000), (peer.INT32, -2_000_000_000), (peer.INT64, -(2**50)), (peer.UINT8, 255), (peer.UINT16, 65535),
    (peer.UINT32, 2**32 - 1), (peer.UINT64, 2**53), (peer.DOUBLE, 0.1 + 0.2), (peer.BOOLEAN, True), (peer.INT8, 127), (peer.INT64, -1)]


@pytest.mark.parametrize(("datatype", "value"), CASES)
def test_every_number_of_an_independent_encoder_is_read_as_it_was_meant(datatype, value):
    [m] = sparkplug.read(payload([metric("x", value, datatype)], 3, MS)).metrics
    assert sparkplug.figure(m.value, m.datatype) == float(value)


def test_a_float_is_the_number_that_was_written_down_and_narrow_negatives_are_read_however_wide_they_came():
    [m] = sparkplug.read(payload([metric("x", 35.4, peer.FLOAT)])).metrics
    assert sparkplug.figure(m.value, m.datatype) == 35.4
    assert [sparkplug.figure(v, 1) for v in (0xFF, 0xFFFFFFFF, 2**64 - 1)] == [-1.0, -1.0, -1.0]
    for value, datatype in ((300, 1), (256, 5), (2**40, 3), ("7", 12), (b"", 17), (None, 10), (math.nan, 10), (math.inf, 9), (1.5, 3), (5, 11)):
        with pytest.raises(ValueError):
            sparkplug.figure(value, datatype)


def test_what_we_write_an_independent_decoder_reads():
    ours = sparkplug.write(sparkplug.Payload((
        sparkplug.Metric("ph", 5, MS, sparkplug.DOUBLE, 7.25, is_historical=True, quality=0, unit="mg/L"),
        sparkplug.Metric("x", 6, MS, sparkplug.DOUBLE, is_null=True), sparkplug.Metric("b", datatype=sparkplug.BOOLEAN, value=True),
        sparkplug.Metric("i", datatype=sparkplug.INT64, value=-5), sparkplug.Metric("f", datatype=sparkplug.FLOAT, value=0.5)), MS, 255))
    p = parsed(ours)
    assert (p.timestamp, p.seq, len(p.metrics)) == (MS, 255, 5)
    one, null, b, i, f = p.metrics
    assert (one.name, one.alias, one.timestamp, one.datatype, one.double_value, one.is_historical) == ("ph", 5, MS, 10, 7.25, True)
    assert (list(one.properties.keys), next(v.int_value for v in one.properties.values)) == (["Quality", "engUnit"], 0)
    assert (null.is_null, null.HasField("double_value"), b.boolean_value, i.long_value, f.float_value) == (True, False, True, 2**64 - 5, 0.5)
    assert sparkplug.read(ours).metrics[0].quality == 0


def test_a_request_for_births_is_what_the_specification_says():
    request = sparkplug_topics.rebirth_request(MS)
    assert parsed(request).metrics[0].boolean_value is True
    assert sparkplug_topics.asks_for_rebirth(request)
    assert not sparkplug_topics.asks_for_rebirth(sparkplug_topics.death(3))


WHOLE = payload([metric("pm10", -5, peer.INT32, 3, MS, quality=192), metric("s", "text", peer.STRING)], 9, MS)


@given(st.binary(max_size=200))
@example(b"\x12\xff\xff\xff\xff\x0f")
@example(b"\x0b" * 50)
def test_whatever_bytes_come_there_is_a_payload_or_a_refusal(data):
    try:
        sparkplug.read(data)
    except NotAFrame:
        return


def test_a_payload_cut_anywhere_is_never_another_payload_with_the_same_metrics():
    chance = random.Random(3)
    for cut in range(len(WHOLE)):
        try:
            assert sparkplug.read(WHOLE[:cut]) != sparkplug.read(WHOLE)
        except NotAFrame:
            continue
    many = payload([metric("m", 1, peer.INT32)] * 5001)
    with pytest.raises(NotAFrame, match="more than 5000"):
        sparkplug.read(many)
    for _ in range(3000):
        data = bytearray(WHOLE)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            sparkplug.read(bytes(data))
        except NotAFrame:
            continue


# ── sessions ──
def test_data_by_alias_are_what_the_birth_said():
    of = born(driver())
    batches = list(of.hear(say("DDATA", [metric(None, 61.5, peer.DOUBLE, 11, MS + 500, with_type=False),
                                         metric(None, 7.25, peer.FLOAT, 12, MS + 500, with_type=False)], 2)))
    assert rows(batches) == [("pm10", "", 61.5, Reason.NORMAL, 0, True), ("ph", "", 7.25, Reason.NORMAL, 0, True)]
    assert set(batches[0].at.tolist()) == {NOW_NS + 500_000_000}


def test_a_birth_is_a_reading_too_and_null_and_quality_are_kept_as_reasons():
    of = driver()
    of.hear(say("NBIRTH", [BD], 0))
    got = rows(of.hear(say("DBIRTH", [
        metric("pm10", 1.0, peer.DOUBLE, 1, MS), metric("ph", None, peer.DOUBLE, 2, MS, null=True),
        metric("laeq", 50.0, peer.DOUBLE, 3, MS, quality=0),
        metric("pm2_5", 9.0, peer.DOUBLE, 7, MS, quality=500), metric("soil_moisture:10cm", 20.0, peer.DOUBLE, 4, MS),
        metric("Serial", "A1", peer.STRING, 5, MS), metric("Properties/Door", 1, peer.INT8, 6, MS)], 1)))
    assert [(quantity, channel, reason) for quantity, channel, _, reason, _, _ in got] == [
        ("pm10", "", Reason.NORMAL), ("ph", "", Reason.DEVICE), ("laeq", "", Reason.FAULT), ("pm2_5", "", Reason.COMMUNICATION),
        ("soil_moisture", "10cm", Reason.NORMAL)]
    assert str([value for _, _, value, *_ in got]) == "[1.0, nan, 50.0, 9.0, 20.0]"


def test_history_is_marked_as_backfill():
    of = born(driver())
    old = list(of.hear(say("DDATA", [metric(None, 5.0, peer.DOUBLE, 11, MS - 10_000, historical=True, with_type=False),
                                     metric(None, 6.0, peer.DOUBLE, 11, MS, with_type=False)], 2)))
    assert [(b.origin, b.raw.tolist(), b.at.tolist()) for b in old] == [
        (Origin.BACKFILL, [5.0], [NOW_NS - 10**10]), (Origin.LIVE, [6.0], [NOW_NS])]


def test_an_alias_before_its_birth_is_refused_and_births_are_asked_for_with_patience():
    of = driver()
    with pytest.raises(Undecodable, match="no birth"):
        of.hear(say("DDATA", [metric(None, 5.0, peer.DOUBLE, 11, MS, with_type=False)], 5))
    [reply] = of.replies(Stamp("b", 0, NOW_NS))
    assert (reply.topic, parsed(reply.payload).metrics[0].name) == ("spBv1.0/G/NCMD/E", "Node Control/Rebirth")
    asked = [s for s in range(1, 3600) if of.replies(Stamp("b", s * 10**9, NOW_NS))]
    assert asked[:5] == [10, 30, 70, 150, 310]
    assert min(b - a for a, b in itertools.pairwise(asked[5:])) == 300
    born(of)
    assert of.replies(Stamp("b", 4000 * 10**9, NOW_NS)) == ()


def test_a_lost_message_means_that_nothing_by_alias_is_believed_until_the_births_are_here_again():
    of = born(driver())
    with pytest.raises(Undecodable, match="sequence number 3 where 2 was due"):
        of.hear(say("DDATA", [metric(None, 5.0, peer.DOUBLE, 11, MS, with_type=False)], 3))
    with pytest.raises(Undecodable, match="no birth"):
        of.hear(say("DDATA", [metric(None, 5.0, peer.DOUBLE, 11, MS, with_type=False)], 4))
    assert of.replies(Stamp("b", 10**12, NOW_NS))
    # the aliases are others now: what was refused would have been wrong
    of.hear(say("NBIRTH", [BD], 0))
    of.hear(say("DBIRTH", [metric("ph", 7.0, peer.DOUBLE, 11)], 1))
    assert [r[0] for r in rows(of.hear(say("DDATA", [metric(None, 6.5, peer.DOUBLE, 11, MS, with_type=False)], 2)))] == ["ph"]


def test_what_names_itself_is_read_without_a_birth():
    of = driver()
    assert rows(of.hear(say("DDATA", [metric("pm10", 5.0, peer.DOUBLE, timestamp=MS)], 77))) == [("pm10", "", 5.0, Reason.NORMAL, 0, True)]


def test_messages_of_its_neighbours_count_for_the_sequence_and_the_sequence_turns_over():
    of = born(driver())
    seq = 2
    for _ in range(300):
        assert of.hear(say("DDATA", [metric(None, 1, peer.INT32, 99, with_type=False)], seq % 256, "other")) == []
        seq += 1
    assert len(rows(of.hear(say("DDATA", [metric(None, 2.0, peer.DOUBLE, 11, MS, with_type=False)], seq % 256)))) == 1


def test_an_alias_that_no_birth_gave_is_refused_also_in_a_whole_session():
    of = born(driver())
    with pytest.raises(Undecodable, match="alias 13 is in no birth"):
        of.hear(say("DDATA", [metric(None, 2.0, peer.DOUBLE, 13, MS, with_type=False)], 2))
    assert of.replies(Stamp("b", 10**12, NOW_NS))


def test_a_node_that_dies_makes_its_series_missing_but_the_will_of_an_older_session_does_not():
    of = born(driver())
    assert of.hear(say("NDEATH", [metric("bdSeq", 6, peer.INT64)], None)) == []
    assert of.trouble() is None
    got = rows(of.hear(say("NDEATH", [BD], None)))
    assert sorted(r[0] for r in got) == ["ph", "pm10"]
    assert all(math.isnan(r[2]) and r[3] == Reason.COMMUNICATION and not r[5] for r in got)
    trouble = of.trouble()
    assert trouble is not None
    assert trouble.cause == "gone"
    assert of.trouble() is None
    assert of.replies(Stamp("b", 10**12, NOW_NS)) == (), "the dead do not answer"


def test_a_device_that_dies_alone_is_missing_and_its_node_lives_on():
    of = born(driver())
    assert len(rows(of.hear(say("DDEATH", [], 2)))) == 2
    with pytest.raises(Undecodable, match="in no birth"):
        of.hear(say("DDATA", [metric(None, 2.0, peer.DOUBLE, 11, MS, with_type=False)], 3))


@pytest.mark.parametrize(("message", "words"), [
    (say("NBIRTH", [BD], None), "sequence number"), (say("NBIRTH", [], 0), "without bdSeq"), (say("NBIRTH", [BD], 256), "sequence number"),
    (say("NDEATH", [], None), "without bdSeq"), (heard(b"\xff", "spBv1.0/G/NBIRTH/E"), "not a Sparkplug payload")])
def test_what_is_against_the_rules_is_refused_in_words(message, words):
    with pytest.raises(Undecodable, match=words):
        driver().hear(message)


def test_births_that_contradict_themselves_are_refused():
    of = driver()
    of.hear(say("NBIRTH", [BD], 0))
    with pytest.raises(Undecodable, match="alias 1 twice"):
        of.hear(say("DBIRTH", [metric("pm10", 1.0, peer.DOUBLE, 1), metric("ph", 1.0, peer.DOUBLE, 1)], 1))
    with pytest.raises(Undecodable, match="in no birth"):
        of.hear(say("DDATA", [metric(None, 2.0, peer.DOUBLE, 1, MS, with_type=False)], 2))


def test_a_metric_of_the_node_itself_and_a_profile_of_its_own(tmp_path):
    path = tmp_path / "acme.toml"
    path.write_text('maker="a"\nmodel="b"\nmedium="air"\nprotocol="sparkplug"\nsource="a page of the maker"\nverified="S"\ninterval="1 min"\n'
                    '[quantities]\npm10 = { metric = "Air/PM", unit = "µg/m³", scale = 0.1, missing = [65535] }\n')
    of = field_devices.told(path, line="mqtt", group="G", node="E")
    got = rows(of.hear(say("NBIRTH", [BD, metric("Air/PM", 354, peer.UINT16, 4, MS)], 0)))
    assert got == [("pm10", "", 35.4, Reason.NORMAL, 0, True)]
    [missing] = rows(of.hear(say("NDATA", [metric(None, 65535, peer.UINT16, 4, MS, with_type=False)], 1)))
    assert math.isnan(missing[2])
    assert [s.quantity for s, _ in of.expected()] == ["pm10"]


def test_a_kept_message_is_no_message_of_this_session():
    message = say("NBIRTH", [BD], 0)
    assert driver().hear(heard(message.payload, message.topic, retained=True)) == []


# ── one bad metric costs no other ──
@pytest.mark.parametrize(("spoilt", "value", "has_own_time"), [
    (metric("ph", 7.0, peer.DOUBLE, 12, 5), math.nan, False), (metric("ph", 7.0, peer.DOUBLE, 12, 2**63), math.nan, False),
    (metric("ph", 1e300, peer.FLOAT, 12, MS, as_double=True), math.nan, True),
    (metric("ph", -1e39, peer.FLOAT, 12, MS, as_double=True), math.nan, True),
    (metric("ph", "7", peer.STRING, 12, MS), math.nan, True), (metric("ph", 7.0, peer.DOUBLE, 12, 0), 7.0, True)])
def test_a_metric_that_cannot_be_read_is_missing_and_those_beside_it_are_not_lost(spoilt, value, has_own_time):
    good = metric("pm10", 61.5, peer.DOUBLE, 11, MS)
    for metrics in ([good, spoilt], [spoilt, good]):
        of = driver()
        of.hear(say("NBIRTH", [BD], 0))
        got = {quantity: rest for quantity, *rest in rows(of.hear(say("DBIRTH", metrics, 1)))}
        assert got["pm10"] == ["", 61.5, Reason.NORMAL, 0, True]
        reason = Reason.DEVICE if math.isnan(value) else Reason.NORMAL
        assert str(got["ph"]) == str(["", value, int(reason), 0, has_own_time])
        assert of.skipped() == (0, "")


def test_a_message_without_one_good_metric_is_refused():
    of = born(driver())
    with pytest.raises(Undecodable, match="timestamp 5 ms is not a time between 2000 and 2100"):
        of.hear(say("DDATA", [metric(None, 7.0, peer.DOUBLE, 11, 5, with_type=False)], 2))
    with pytest.raises(Undecodable, match="not a possible Float"):
        of.hear(say("DDATA", [metric("ph", 1e300, peer.FLOAT, 12, as_double=True)], 3))


def test_a_birth_of_a_node_whose_clock_is_not_set_is_heard_now():
    of = driver()
    of.hear(say("NBIRTH", [BD], 0, timestamp=0))
    got = of.hear(say("DBIRTH", [metric("pm10", 1.0, peer.DOUBLE, 11, 0), metric("ph", 7.0, peer.FLOAT, 12)], 1, timestamp=0))
    assert rows(got) == [("pm10", "", 1.0, Reason.NORMAL, 0, False), ("ph", "", 7.0, Reason.NORMAL, 0, False)]
    assert rows(of.hear(say("DDATA", [metric(None, 2.0, peer.DOUBLE, 11, MS, with_type=False)], 2)))[0][2] == 2.0


def test_history_without_a_time_and_channels_without_number_are_left_out_and_counted():
    of = born(driver())
    good = metric(None, 61.5, peer.DOUBLE, 11, MS, with_type=False)
    for stamp, seq in ((0, 2), (5, 3)):
        old = metric(None, 5.0, peer.DOUBLE, 12, stamp, historical=True, with_type=False)
        assert [r[2] for r in rows(of.hear(say("DDATA", [old, good], seq, timestamp=None)))] == [61.5]
        left_out, why = of.skipped()
        assert left_out == 1
        assert why.startswith("ph: ")
        assert "time" in why
    many = [metric(f"soil_moisture:{number}cm", 20.0, peer.DOUBLE, timestamp=MS) for number in range(300)]
    got = rows(of.hear(say("DDATA", [*many, good], 4)))
    assert [r[0] for r in got].count("soil_moisture") == 254, "with the two that it has, 256"
    assert got[-1][0] == "pm10"
    assert of.skipped() == (46, "soil_moisture: names more than 256 channels")
    assert of.skipped() == (0, "")


def test_what_was_left_out_is_told_with_the_device_and_counted_at_its_line():
    journal, notebook = Journal(), Notebook()
    hearing = Hearing("broker", {"d": driver()}, journal, RealClock(), notebook, Receipts("broker"), 64_000, Poison())
    old = metric("ph", 5.0, peer.DOUBLE, timestamp=5, historical=True)
    said = say("DDATA", [metric("pm10", 61.5, peer.DOUBLE, timestamp=MS), old], 2)
    hearing.message(said.topic, said.payload, 0, 0, False, False)
    assert journal.values == [61.5]
    assert notebook.counts["skipped"] == 1
    assert notebook.said[-1] == ("answered", "d", "left out of its message: ph: its timestamp 5 ms is not a time between 2000 and 2100")


# ── on a real broker ──
@pytest.mark.server
def test_on_a_broker_births_are_asked_for_gaps_are_healed_and_a_crash_is_told(mosquitto: servers.Mosquitto):
    journal = Journal()
    node = peer.EdgeNode(mosquitto.port)
    line = Line("nodes", Options(url=mosquitto.url, client_id="host"), str)
    two = {"air": driver(), "same": driver()}
    for one in two.values():
        one._session.asking._pause_ns = 200_000_000
    try:
        with Running(line, two, journal) as running:
            until(lambda: node.rebirths == 1, what="nobody asked for the births")  # it was there before us, and two devices ask once
            until(lambda: len(journal.values) == 2)
            at = node.data(61.5)
            until(lambda: 61.5 in journal.values)
            batch = next(b for d in journal.deliveries for b in d.batches if 61.5 in b.raw.tolist())
            assert (batch.at.tolist(), batch.series[0].quantity) == ([at * 10**6], "pm10")
            node.skip()
            node.data(62.5)
            until(lambda: node.rebirths >= 2, what="the gap was not noticed")
            until(lambda: 62.5 in journal.values)  # told again by the birth
            node.data(63.5)
            until(lambda: 63.5 in journal.values)
            assert running.notebook.times("failed") >= 1
            node.crash()
            until(lambda: any(math.isnan(v) for v in journal.values))
            until(lambda: ("failed", "air", "gone", "its edge node is gone (NDEATH)") in running.notebook.said)
    finally:
        node.end()

"""MQTT messages: what is read from them, and that nothing a stranger sends can do harm."""

import json
import math
import random
import time
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mqtt_devices import NOW_NS, driver, heard, packaged, profile

from config.errors import Undecodable
from config.series import Reason, Series
from drivers.protocols.mqtt_json import Driver
from drivers.reading import Batch

PLAIN = driver(packaged("mqtt_plain"), "yard/noise/{quantity}", "noise")
OBJECT = driver(packaged("mqtt_json"), "yard/air", "air")
_S = 10**9


def rows(batches: Iterable[Batch]) -> list[tuple[Series, int, float]]:
    return [(b.series[w], int(at), float(v)) for b in batches for w, at, v in zip(b.which, b.at, b.raw, strict=True)]


def values(of: Driver, payload: str | bytes, topic: str = "yard/air") -> dict[str, float]:
    return {series.quantity: value for series, _, value in rows(of.hear(heard(payload, topic)))}


@pytest.mark.parametrize(("payload", "value"), [
    ("35.4", 35.4), (" 35.4\n", 35.4), ("35", 35.0), ("-0.5", -0.5), ("1e2", 100.0), ('"35.4"', 35.4), ("0.1", 0.1),
    ("35.400001525878906", 35.400001525878906),
])
def test_a_plain_number_is_the_quantity_that_the_topic_names(payload: str, value: float) -> None:
    plain = driver(packaged("mqtt_plain"), "yard/noise/{quantity}", "noise")
    [(series, at, got)] = rows(plain.hear(heard(payload, "yard/noise/laeq")))
    assert (series, at, got) == (Series("yard", "noise", "laeq"), NOW_NS, value)


def test_an_object_gives_every_key_of_the_vocabulary_with_its_own_time() -> None:
    [batch] = OBJECT.hear(heard('{"t": 1795132799500, "seq": 7, "pm2_5": 35.4, "pm10": 61}', "yard/air"))
    assert batch.own_time
    assert rows([batch]) == [(Series("yard", "air", "pm2_5"), NOW_NS - _S // 2, 35.4), (Series("yard", "air", "pm10"), NOW_NS - _S // 2, 61.0)]
    assert [Reason(r) for r in batch.reason] == [Reason.NORMAL, Reason.NORMAL]


@pytest.mark.parametrize(("written", "ns"), [
    ("1795132800", NOW_NS), ("1795132800.123", NOW_NS + 123_000_000), ("1795132800123", NOW_NS + 123_000_000),
    ("1795132800123456", NOW_NS + 123_456_000), ("1795132800123456789", NOW_NS + 123_456_789), ('"1795132800"', NOW_NS),
    ('"2026-11-20T00:00:00Z"', NOW_NS), ('"2026-11-20T08:00:00.25+08:00"', NOW_NS + 250_000_000),
])
def test_a_source_may_write_its_time_in_any_of_the_usual_ways(written: str, ns: int) -> None:
    [(_, at, _)] = rows(OBJECT.hear(heard(f'{{"t": {written}, "pm10": 1}}', "yard/air")))
    assert at == ns


@pytest.mark.parametrize("written", ['"2026-11-20T08:00:00"', '"yesterday"', "12", "1e300", "true", "[]", "99999999999999999999",
                                     "NaN", '"2026-13-01T00:00:00Z"',
                                     '"9999-12-31T23:59:59-23:00"', '"0001-01-01T00:00:00+23:00"', '"1969-01-01T00:00:00Z"'])
def test_a_time_that_cannot_be_true_spoils_its_message(written: str) -> None:
    with pytest.raises(Undecodable, match=r"^t: "):
        list(OBJECT.hear(heard(f'{{"t": {written}, "pm10": 1}}', "yard/air")))


def test_a_byte_order_mark_before_a_message_is_passed_over() -> None:
    [(_, _, value)] = rows(OBJECT.hear(heard(b"\xef\xbb\xbf" + b'{"pm10": 12.5}', "yard/air")))
    assert value == 12.5
    with pytest.raises(Undecodable, match="not JSON"):
        list(OBJECT.hear(heard(b"\xef\xbb\xbf" * 2 + b'{"pm10": 12.5}', "yard/air")))


def test_a_list_gives_several_readings_of_one_series() -> None:
    got = rows(OBJECT.hear(heard('[{"t": 1795132790000, "pm10": 1}, {"t": 1795132795000, "pm10": 2.5}]', "yard/air")))
    assert [(at - NOW_NS, value) for _, at, value in got] == [(-10 * _S, 1.0), (-5 * _S, 2.5)]


def test_one_bad_value_is_missing_and_the_others_are_kept() -> None:
    [batch] = OBJECT.hear(heard('{"pm2_5": "off", "pm10": 61, "co": NaN, "so2": 1e999, "no2": null, "o3": true, "co2": [1]}', "yard/air"))
    got = {series.quantity: value for series, _, value in rows([batch])}
    assert got.pop("pm10") == 61
    assert len(got) == 6
    assert all(math.isnan(value) for value in got.values())
    assert [Reason(r) for r in batch.reason] == [Reason.NORMAL if batch.series[w].quantity == "pm10" else Reason.DEVICE for w in batch.which]


@pytest.mark.parametrize(("payload", "words"), [
    ("", "empty"), ("  ", "empty"), ("{", "not JSON"), ("not json", "not JSON"), ('{"pm10": 1} x', "not JSON"),
    (b"\xff\xfe{}", "not UTF-8 at byte 0"),
    ('{"pm10": NaN}', "pm10: NaN is not a number"), ('{"pm10": -Infinity}', "pm10: -Infinity is not a number"),
    ('{"pm10": 1e999}', "pm10: '1e999' is not a possible number"), ('{"pm10": ' + "9" * 5000 + "}", "pm10: .* is not a possible number"),
    ('{"pm10": true}', "pm10: True is not a number"), ('{"pm10": "12 µg"}', "pm10: '12 µg' is not a number"),
    ('{"pm10": {}}', "pm10: {} is not a number"),
    ('{"pm10": 1, "pm10": 2}', "the key 'pm10' stands twice"), ('{"x": {"y": 1, "y": 2}, "pm10": 2}', "the key 'y' stands twice"),
    ('{"temp": 1, "hum": 2}', "no key is a quantity of the vocabulary; it has 'temp', 'hum'"), ("{}", "it has no keys"), ("[]", "an empty list"),
    ("[NaN]", "not an object: NaN$"), ('[{"a": NaN}]', "it has 'a'"),
    ('{"t": NaN, "pm10": 1}', "^t: NaN "), ('{"pm10": [1e999]}', r"^pm10: \[1e999\] is not"),
    ("35", "not an object: 35"), ("null", "not an object"), ('["a"]', "not an object"), ('[{"temp": 1}, 5]', "element 0: no key"),
    ("[" * 100_000, "nested deeper than 32"), ('{"a":' * 100_000, "nested deeper than 32"),
    ('{"pm10": ' + "[" * 90 + "]" * 90 + "}", "is not a number"),
    ('{"\\ud800": 1}', "no key is a quantity"),
])
def test_a_message_that_cannot_be_read_says_why(payload: str | bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words) as refused:
        list(OBJECT.hear(heard(payload, "yard/air")))
    str(refused.value).encode()  # can be written down, whatever was in the message
    assert len(str(refused.value)) < 400


def test_a_topic_that_names_no_quantity_of_the_vocabulary_is_set_aside() -> None:
    with pytest.raises(Undecodable, match="'loudness' is not a quantity of the vocabulary"):
        list(PLAIN.hear(heard("50", "yard/noise/loudness")))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='{}[]":,.0123456789eE+-ntrulfasNaIiy\\ pm10_25', max_size=80).map(str.encode)))
@example(b"[" * 200_000)
@example(b'"\\' * 100_000)
@example(b'["' + b'\\"' * 100_000)
@example(b'{"t":1' + b"0" * 100_000 + b',"pm10":1}')
@example(b"-" * 256_000)
@example(b"1" * 256_000)
@example(b'{"pm10":0.' + b"0" * 200_000 + b"1}")
@example(b'{"a":1,' * 30_000)
@example(b'{"t":"' + b"2026-11-20T" * 20_000 + b'","pm10":1}')
def test_whatever_bytes_come_there_is_a_batch_or_undecodable(payload: bytes) -> None:
    began = time.perf_counter()
    for of, topic in ((PLAIN, "yard/noise/laeq"), (OBJECT, "yard/air")):
        try:
            for batch in of.hear(heard(payload, topic)):
                assert isinstance(batch, Batch)
                assert not math.isinf(sum(abs(v) for v in batch.raw if not math.isnan(v)))
        except Undecodable as refused:
            str(refused).encode()
    assert time.perf_counter() - began < 2.0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_out_as_it_was_written(number: float) -> None:
    assert list(values(OBJECT, f'{{"pm10": {number!r}}}').values()) == [number]


def test_paths_scale_and_missing_figures_of_a_profile() -> None:
    of = driver(profile({
        "leaf_wetness": {"path": "$.uplink_message.decoded[0].wet", "unit": "%"},
        "leaf_temperature": {"path": "uplink_message.temp", "unit": "°C", "scale": 0.01, "missing": 32767},
        "soil_moisture:10cm": {"path": '$["soil 10"]', "unit": "%"}, "soil_moisture:20cm": {"path": '$["soil 20"]', "unit": "%"},
    }), "v3/+/devices/leaf-01/up", time="$.uplink_message.at")
    message = '{"uplink_message": {"at": 1795132800, "decoded": [{"wet": 55}], "temp": %s}, "soil 10": 21.5, "soil 20": 22.5}'
    got = rows(of.hear(heard(message % "2151", "v3/app/devices/leaf-01/up")))
    assert {(s.quantity, s.channel): v for s, _, v in got} == {
        ("leaf_wetness", ""): 55, ("leaf_temperature", ""): 21.51, ("soil_moisture", "10cm"): 21.5, ("soil_moisture", "20cm"): 22.5}
    got = rows(of.hear(heard(message % "32767", "v3/app/devices/leaf-01/up")))
    assert math.isnan(next(v for s, _, v in got if s.quantity == "leaf_temperature"))
    assert {s for s, _ in of.expected()} == {s for s, _, _ in got}


def test_a_channel_in_the_topic_tells_two_sensors_apart() -> None:
    of = driver(packaged("mqtt_plain"), "soil/{channel}/{quantity}")
    [(series, _, _)] = rows(of.hear(heard("21.5", "soil/10cm/soil_moisture")))
    assert series.channel == "10cm"
    assert of.topics == ("soil/+/+",)
    assert not of.wants(heard("1", "soil/10 cm/soil_moisture"))


def test_channels_made_up_by_strangers_are_bounded() -> None:
    of = driver(packaged("mqtt_plain"), "soil/{channel}/{quantity}")
    for number in range(256):
        assert rows(of.hear(heard("1", f"soil/c{number}/soil_ph")))
    with pytest.raises(Undecodable, match="more than 256 channels"):
        list(of.hear(heard("1", "soil/one-more/soil_ph")))


@pytest.mark.parametrize(("topic", "of", "takes", "leaves"), [
    ("yard/noise/{quantity}", "mqtt_plain", ["yard/noise/laeq"], ["yard/noise", "yard/noise/a/b", "yard/air/laeq", "yard/noise/"]),
    ("+/air", "mqtt_json", ["a/air", "/air"], ["air", "a/b/air"]), ("yard/#", "mqtt_json", ["yard", "yard/a/b"], ["yards/a", "a/yard"]),
    ("#", "mqtt_json", ["a", "a/b"], []), ("sensor-{channel}/{quantity}", "mqtt_plain", ["sensor-7/ph"], ["sensor-/ph", "xsensor-7/ph"]),
])
def test_topic_templates_take_what_they_say(topic: str, of: str, takes: list[str], leaves: list[str]) -> None:
    one = driver(packaged(of), topic)
    assert [t for t in takes + leaves if one.wants(heard("1", t))] == takes


@pytest.mark.parametrize(("options", "words"), [
    ({"topic": "a/{colour}"}, "not a place that can be filled"), ({"topic": "a/{quantity}/{quantity}"}, "twice"),
    ({"topic": "a/#/b"}, "only at the end"),
    ({"topic": "$share/g/z/#"}, "is a shared subscription.*leave \\$share"),
    ({"topic": "a/b+"}, "stand alone"), ({"topic": ""}, "empty"), ({"topic": "a{"}, "without its other half"),
    ({"topic": "a", "time": "$.*"}, "path of one value"),
    ({"topic": "a", "quantities": ["loudness"]}, "not a quantity of the vocabulary"), ({"topic": "a", "period": 60}, "not a duration"),
])
def test_wrong_options_are_refused_in_words(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        driver(packaged("mqtt_json"), **options)  # type: ignore[arg-type]


def test_a_topic_and_a_profile_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing says which quantity"):
        driver(packaged("mqtt_plain"), "yard/noise")
    with pytest.raises(ValueError, match=r"leave \{quantity\} out"):
        driver(packaged("mqtt_json"), "yard/{quantity}")


def test_what_is_named_is_expected_and_nothing_else_is_taken() -> None:
    of = driver(packaged("mqtt_json"), "yard/air", interval_s=10, quantities=["pm2_5", "pm10"])
    assert of.expected() == ((Series("yard", "node", "pm2_5"), 10), (Series("yard", "node", "pm10"), 10))
    assert set(values(of, '{"pm2_5": 1, "co": 2}')) == {"pm2_5"}
    assert OBJECT.expected() == ()


def test_a_period_makes_the_value_one_of_an_interval_that_ends_at_its_time() -> None:
    [batch] = driver(packaged("mqtt_json"), "a", period="1 min").hear(heard('{"laeq": 55, "t": 1795132800}'))
    assert (batch.at[0], batch.span[0]) == (NOW_NS, 60 * _S)


def test_thousands_of_readings_in_one_message_get_a_stamp_each_and_a_clock_that_is_set_back_is_followed() -> None:
    node = driver(packaged("mqtt_json"), "yard/air")
    many = "[" + ",".join(f'{{"pm10": {value}}}' for value in range(3000)) + "]"
    first = rows(node.hear(heard(many, "yard/air")))
    again = rows(node.hear(heard('{"pm10": 3000}', "yard/air", NOW_NS + _S)))
    stamps = [at for _, at, _ in first + again]
    assert (len(set(stamps)), stamps) == (3001, sorted(stamps)), "a database keeps them all, in their order"
    [(_, at, _)] = rows(node.hear(heard('{"pm10": 1}', "yard/air", NOW_NS - 60 * _S)))
    assert at == NOW_NS - 60 * _S


def test_readings_heard_within_one_millisecond_do_not_hide_each_other() -> None:
    of = driver(packaged("mqtt_plain"), "{quantity}")
    at = [rows(of.hear(heard(str(i), "laeq")))[0][1] for i in range(5)]
    assert at == [NOW_NS + i * 1_000_000 for i in range(5)]
    assert rows(of.hear(heard("9", "laeq", NOW_NS + _S)))[0][1] == NOW_NS + _S


def test_a_retained_message_is_a_reading_only_while_its_own_time_is_fresh() -> None:
    of = driver(packaged("mqtt_json"), "a", interval_s=60)
    assert list(of.hear(heard('{"pm10": 1}', retained=True))) == []
    assert list(of.hear(heard('{"pm10": 1, "t": 1795132600}', retained=True))) == []
    assert len(list(of.hear(heard('{"pm10": 1, "t": 1795132750}', retained=True)))) == 1
    with pytest.raises(Undecodable):
        list(of.hear(heard("junk", retained=True)))


def test_messages_are_read_by_their_own_keys_and_topic_whatever_was_read_before() -> None:
    of = driver(packaged("mqtt_json"), "yard/{channel}/air")
    names = ("pm1", "pm2_5", "pm10", "so2", "no2", "no", "o3", "co", "h2s", "nh3")
    chance = random.Random(5)
    for number in range(2000):  # more kinds than are remembered
        wanted = {name: float(number + i) for i, name in enumerate(chance.sample(names, chance.randint(1, 6)))}
        channel = chance.choice("abc")
        got = rows(of.hear(heard(json.dumps(wanted | {"seq": number}), f"yard/{channel}/air", NOW_NS + number * _S)))
        assert [(series, value) for series, _, value in got] == [
            (Series("yard", "node", name, channel), value) for name, value in wanted.items()]


def test_an_element_of_a_list_that_cannot_be_read_is_left_out_and_counted() -> None:
    good = '{"t": 1795132800, "pm10": 1}, {"t": 1795132860, "pm10": 3}'
    for spoilt, why in (('{"seq": 7}', "no key is a quantity"), ("5", "not an object"), ('{"t": "x", "pm10": 2}', "t: 'x' is not a time"),
                        ('{"t": 5, "pm10": 2}', "is not a time between"), ('{"pm10": "much"}', "not a number")):
        for text in (f"[{spoilt}, {good}]", f"[{good}, {spoilt}]"):
            [batch] = OBJECT.hear(heard(text, "yard/air"))
            assert batch.raw.tolist() == [1.0, 3.0]
            left_out, words = OBJECT.skipped()
            assert left_out == 1
            assert words.startswith("element ")
            assert why in words
            assert OBJECT.skipped() == (0, "")


def test_elements_of_a_list_may_differ_in_what_they_hold() -> None:
    got = rows(OBJECT.hear(heard(
        '[{"t": 1795132790000, "pm10": 1, "co": 2}, {"t": 1795132791000, "co": 3}, {"t": 1795132792000, "so2": 4, "pm10": 5}, '
        '{"t": 1795132793000, "pm10": 6, "co": 7}]', "yard/air")))
    assert [(series.quantity, (at - NOW_NS) // _S, value) for series, at, value in got] == [
        ("pm10", -10, 1), ("co", -10, 2), ("co", -9, 3), ("so2", -8, 4), ("pm10", -8, 5), ("pm10", -7, 6), ("co", -7, 7)]


def test_fifty_readings_cost_a_few_times_what_it_takes_to_parse_them() -> None:
    """Where they lie and whose they are is not asked again for each: then it was ten times. CPU time, so a busy machine does not matter."""
    names = ("pm1", "pm2_5", "pm10", "so2", "no2", "no", "o3", "co", "h2s", "nh3")
    payload = json.dumps([{"t": 1_795_132_700_000 + 1000 * i} | dict.fromkeys(names, 20.5 + i) for i in range(5)]).encode()
    message = heard(payload, "yard/air")
    assert len(rows(OBJECT.hear(message))) == 50
    ratios = [_cpu_s(lambda: OBJECT.hear(message)) / _cpu_s(lambda: json.loads(payload)) for _ in range(10)]
    assert min(ratios) < 6


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(50):
        work()
    return time.process_time() - began

"""`ecosentry scan`: ports by lasting names, who speaks or answers on them; nothing is written, nobody is asked into another's talk."""

import io
import json
import os
import shutil
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import field_devices
import pytest
from field_devices import FarEnd
from scanned import Deaf, RecognisableSoil, device, driven, scan
from virtual import VirtualClock, VirtualWire

from config.reading_site import read_site_text
from drivers.codecs import dlt645, nmea
from drivers.codecs.modbus import Question, seal
from drivers.lines.serial import Options
from drivers.ports import ports
from drivers.simulated.modbus import TableSource
from gateway.building import load_site
from gateway.checking.check import prove
from gateway.cli import main
from gateway.plugins import KINDS
from gateway.scanning.own_port import Setting
from gateway.scanning.rounds import rounds
from gateway.scanning.scan_command import Ways, run_scan
from gateway.scanning.scan_job import Scan, asks
from gateway.scanning.site_text import LineFound, Place, site_text
from gateway.scanning.streams import Recogniser
from gateway.scanning.wish import Wish

NO_SITE = Path("no-site.toml")
FAST = {"listen_s": 0.3, "answer_s": 0.1}
LINE = """
[stations.field]
[lines.cabinet]
kind = "serial"
port = "{port}"
baudrate = 57600
"""


# ── ports ──
def box(root: Path, *adapters: tuple[str, str, str, str]) -> Path:
    """A file system with USB adapters: (tty, vendor:product, serial number, socket)."""
    for folder in ("dev/serial/by-id", "dev/serial/by-path", "sys/class/tty", "proc"):
        (root / folder).mkdir(parents=True)
    (root / "proc/cmdline").write_text("console=ttyAMA0,115200 quiet")
    for tty, chip, serial, socket in adapters:
        (root / "dev" / tty).touch()
        usb = root / "sys/devices" / socket
        (usb / "1:1.0" / tty).mkdir(parents=True)
        (usb / "idVendor").write_text(chip.partition(":")[0] + "\n")
        (usb / "idProduct").write_text(chip.partition(":")[2] + "\n")
        if serial:
            (usb / "serial").write_text(serial + "\n")
        (root / "sys/class/tty" / tty).mkdir()
        (root / "sys/class/tty" / tty / "device").symlink_to(usb / "1:1.0" / tty)
        by_id = root / "dev/serial/by-id" / f"usb-{chip.replace(':', '_')}{'_' + serial if serial else ''}-if00-port0"
        by_id.unlink(missing_ok=True)  # udev: the last adapter of that name has the link
        by_id.symlink_to(root / "dev" / tty)
        (root / "dev/serial/by-path" / f"platform-usb-0:{socket}:1.0-port0").symlink_to(root / "dev" / tty)
    for tty, kind in (("ttyS0", "0"), ("ttyAMA0", "32")):
        (root / "dev" / tty).touch()
        (root / "sys/class/tty" / tty / "device").mkdir(parents=True)
        (root / "sys/class/tty" / tty / "type").write_text(kind)
    return root


def test_ports_are_named_by_what_stays_and_adapters_that_share_a_name_by_their_socket(tmp_path):
    root = box(tmp_path, ("ttyUSB0", "1a86:7523", "", "1.2"), ("ttyUSB1", "1a86:7523", "", "1.4"), ("ttyUSB2", "0403:6001", "A50285BI", "1.3"))
    found = {port.device: port for port in ports(root)}
    assert found["/dev/ttyUSB0"].name == "/dev/serial/by-path/platform-usb-0:1.2:1.0-port0"
    assert found["/dev/ttyUSB1"].name == "/dev/serial/by-path/platform-usb-0:1.4:1.0-port0"
    assert found["/dev/ttyUSB2"].name == "/dev/serial/by-id/usb-0403_6001_A50285BI-if00-port0"
    assert [found[f"/dev/ttyUSB{n}"].shares_id for n in range(3)] == [True, True, False]
    assert (found["/dev/ttyUSB0"].adapter, found["/dev/ttyUSB2"].adapter) == ("CH340", "FT232")
    assert found["/dev/ttyAMA0"].is_console
    assert "/dev/ttyS0" not in found, "a port without hardware is none"


def test_two_adapters_with_one_serial_number_share_a_name_too(tmp_path):
    root = box(tmp_path, ("ttyUSB0", "10c4:ea60", "0001", "1.2"), ("ttyUSB1", "10c4:ea60", "0001", "1.4"))
    assert [port.shares_id for port in ports(root) if "USB" in port.device] == [True, True]


# ── streams ──
STREAMS = [
    (field_devices.plantower_frame(5), {"plantower_pms5003", "plantower_pms7003"}, {"pm2_5": 25.0}),
    (field_devices.sds011_frame(2), {"nova_sds011"}, {"pm2_5": 22.5, "pm10": 32.5}),
    (field_devices.ultrasonic_frame(953), {"dfrobot_a02yyuw"}, {"distance:surface": 1.953}),
    (nmea.build("WIMWV", ("214.8", "R", "0.1", "M", "A")), {"nmea_wind"}, {"wind_speed": 0.1})]


@pytest.mark.parametrize(("frame", "profiles", "values"), STREAMS)
def test_a_sensor_that_speaks_by_itself_is_recognised_by_its_profile_with_its_values(frame, profiles, values):
    recogniser = Recogniser()
    for number, at in enumerate(range(0, 3 * len(frame), 7)):
        recogniser.feed((frame * 3)[at : at + 7], number * 10_000_000)
    found = recogniser.verdict()
    assert profiles <= set(found.profiles)
    assert values.items() <= found.values.items()


@pytest.mark.parametrize(("stream", "words"), [
    (b"\r\nA=53.7 dB\r\nA=53.9 dB\r\n", "text_lines"), (b"\r\n" + nmea.build("GPXTE", ("A", "A", "0.67", "L", "N")), "GPXTE"),
    (bytes(range(128, 168)), "40 bytes that no profile knows: 80 81")])
def test_a_stream_that_no_profile_knows_is_shown_as_it_came(stream, words):
    recogniser = Recogniser()
    recogniser.feed(stream, 0)
    found = recogniser.verdict()
    assert found.profiles == ()
    assert words in found.words


# ── a line ──
def test_devices_are_found_at_their_addresses_and_held_against_the_profiles_and_the_first_site_file_is_right(tmp_path):
    link = tmp_path / "ttyUSB7"
    unknown = TableSource(dict(enumerate([16819, 13107, 0, 0, 9])))
    with Deaf([device(1, RecognisableSoil(1)), device(40, unknown)], link) as bus:
        code, said, _ = scan(str(link), NO_SITE, Wish(baudrate=9600, addresses="1-2,40", **FAST), Ways(write=str(tmp_path / "site.toml")))
        assert bus.devices[1].source.values.last["soil_ph"] == 7.2
    assert code == 0, said
    rows = said.splitlines()
    assert rows[1].split()[:3] == ["1", "9600", "8N1"]
    assert "cwt_soil_7in1 (7 of 7 plausible), recognised" in rows[1]
    assert "soil_moisture 32.1 %" in rows[1]
    assert rows[2].split()[0] == "40"
    written = (tmp_path / "site.toml").read_text("utf-8")
    file = load_site(tmp_path / "site.toml")
    prove(file)
    assert file.site.devices["cwt_soil_7in1"].options.address == 1
    assert file.site.lines["usb1"].options.port == str(link)
    assert "ecosentry probe" in written or "unknown" not in written
    assert scan(str(link), NO_SITE, Wish(), Ways(write=str(tmp_path / "site.toml")))[0] == 2, "a file that is there is never overwritten"


def test_a_number_that_could_be_any_count_names_no_rain_gauge(tmp_path):
    link = tmp_path / "ttyUSB7"
    with Deaf([device(2, TableSource({0: 60000}))], link):
        found = json.loads(scan(str(link), NO_SITE, Wish(baudrate=9600, addresses="2-3", **FAST), Ways(as_json=True))[1])
    (one,) = found["found"]
    assert "sonbest_xm9505" not in [fit["profile"] for fit in one.get("looks_like", [])]


def test_a_device_that_runs_at_another_baud_rate_is_found_there(tmp_path):
    link = tmp_path / "ttyUSB7"
    with Deaf([device(3, RecognisableSoil(3))], link, 19200):
        code, said, _ = scan(str(link), NO_SITE, Wish(addresses="3-4", first=True, **FAST), Ways(as_json=True))
    found = json.loads(said)
    assert code == 0
    assert [(one["address"], one["setting"]) for one in found["found"]] == [(3, "19200 8E1")]
    assert found["settings"][:2] == ["9600 8N1", "4800 8N1"], "the likeliest first"
    assert found["found"][0]["looks_like"][0]["profile"] == "cwt_soil_7in1"


def test_a_setting_that_the_port_cannot_have_is_named_and_the_others_are_asked(tmp_path):
    """The kernel refuses parity on a pty where nothing else changes: the port was just listened to at the same rate."""
    site = tmp_path / "site.toml"
    site.write_text(LINE.format(port=tmp_path / "tty") + 'format = "8E1"\n', "utf-8")
    with Deaf([device(3, RecognisableSoil(3))], tmp_path / "tty", 9600):
        code, said, words = scan("cabinet", site, Wish(addresses="3-3", first=True, **FAST))
    assert code == 0, words
    assert said.splitlines()[1].split()[:3] == ["3", "9600", "8N1"]
    assert "this port cannot be set to 57600 8E1: not asked there" in said


def test_a_line_of_the_site_file_is_asked_at_its_own_setting_first(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text(LINE.format(port=tmp_path / "tty"), "utf-8")
    with Deaf([device(3, RecognisableSoil(3))], tmp_path / "tty", 57600):
        for name in ("cabinet", str(tmp_path / "tty")):
            code, said, words = scan(name, site, Wish(addresses="3-4", first=True, **FAST), Ways(as_json=True))
            assert code == 0, words
            found = json.loads(said)
            assert found["settings"] == ["57600 8N1"], name
            assert [one["address"] for one in found["found"]] == [3]


def test_the_usual_settings_come_after_the_lines_own_and_none_twice():
    own = Setting(4800, "8N1")
    first, *others = rounds(Wish(), own)
    assert (first.setting, first.addresses) == (own, "1-247")
    assert set(rounds(Wish())[0].kinds) <= set(first.kinds)
    assert [one.setting for one in others] == [one.setting for one in rounds(Wish()) if one.setting != own]
    assert [str(one.setting) for one in rounds(Wish(format="8E1"), Setting(57600))] == ["57600 8E1"], "what is not said is the line's own"
    assert own.options("x", Options(port="y", rs485=True)).rs485 is True, "a port that switches by the kernel does so at every setting"


@pytest.mark.parametrize(("name", "wish", "words"), [
    ("far", Wish(baudrate=9600), "--baudrate: line far is of kind tcp and has no baud rate"),
    ("far", Wish(everything=True, anyway=True), "--all, --anyway: line far is of kind tcp"),
    ("", Wish(addresses="1-9", first=True), "--addresses, --first: without a port nothing is asked"),
    ("cabinet", Wish(addresses="9-1"), "addresses 9-1 run backwards: write 1-9")])
def test_options_that_cannot_apply_are_refused_in_words(tmp_path, name, wish, words):
    site = tmp_path / "site.toml"
    site.write_text(LINE.format(port=tmp_path / "tty") + '[lines.far]\nkind = "tcp"\nhost = "127.0.0.1"\n', "utf-8")
    code, _, said = scan(name, site, wish)
    assert (code, words in said) == (2, True), said


@pytest.mark.parametrize(("words", "said"), [
    (["--format", "8X1"], "8X1 is no format; write data bits"), (["--baudrate", "96O0"], "96O0 is no baud rate"),
    (["--baudrate", "5"], "a whole number from 300"), (["--answer", "1 h"], "1 h is no time to wait"), (["--answer", "5"], "is not a duration")])
@pytest.mark.parametrize("word", [["scan", "/dev/none"], ["probe", "/dev/none", "1"]])
def test_what_no_port_can_be_set_to_is_refused_at_once(word, words, said, capsys):
    with pytest.raises(SystemExit) as end:
        main([*word, *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("word", [["scan", "/dev/none"], ["probe", "/dev/none", "1"]])
def test_without_an_option_the_words_go_as_far_as_the_port(word, capsys):
    assert main(word) == 69
    assert "/dev/none" in capsys.readouterr().err


def test_where_a_file_is_to_be_written_is_looked_at_before_anything_is_sent(tmp_path):
    class Vanishing(RecognisableSoil):
        def read(self, function: int, first: int, count: int) -> list[int]:
            shutil.rmtree(tmp_path / "here", ignore_errors=True)
            return super().read(function, first, count)

    with Deaf([device(1, Vanishing(1))], tmp_path / "tty") as bus:
        wish = Wish(baudrate=9600, addresses="1-1", **FAST)
        code, _, said = scan(str(tmp_path / "tty"), NO_SITE, wish, Ways(write=str(tmp_path / "none" / "site.toml")))
        assert (code, f"there is no folder {tmp_path}/none" in said, bus.heard) == (2, True, 0)
        (tmp_path / "here").mkdir()
        code, told, said = scan(str(tmp_path / "tty"), NO_SITE, wish, Ways(write=str(tmp_path / "here" / "site.toml")))
    assert (code, "site.toml could not be written: No such file" in said) == (74, True), "gone meanwhile"
    assert "cwt_soil_7in1" in told


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_found_before_ctrl_c_is_told_and_that_it_is_not_whole(tmp_path, as_json):
    class Interrupting(RecognisableSoil):
        def read(self, function: int, first: int, count: int) -> list[int]:
            os.kill(os.getpid(), signal.SIGINT)
            return super().read(function, first, count)

    out, file = io.StringIO(), tmp_path / "site.toml"
    with Deaf([device(2, RecognisableSoil(2)), device(4, Interrupting(4))], tmp_path / "tty"), pytest.raises(KeyboardInterrupt):
        run_scan(str(tmp_path / "tty"), NO_SITE, Wish(addresses="1-9", **FAST), Ways(as_json, str(file), quiet=True), out, out)
    if as_json:
        found = json.loads(out.getvalue())
        assert (found["whole"], [one["address"] for one in found["found"]]) == (False, [2])
    else:
        said = out.getvalue().splitlines()
        assert said[1].split()[:3] == ["2", "9600", "8N1"]
        assert said[-2:] == ["This is not whole: it was broken off.", f"{file} was not written."]
    assert not file.exists()


def test_a_guess_is_written_with_its_evidence_and_not_as_a_device():
    class OfTheSameFamily(RecognisableSoil):
        """Humidity, temperature and CO₂ of air, and its address where soil probes of the same make keep theirs."""

        def __init__(self, address: int) -> None:
            super().__init__(address)
            self.values = TableSource({0: 452, 1: 213, 2: 612})

    units = {7: RecognisableSoil(7), 8: OfTheSameFamily(8), 9: TableSource({0: 712, 1: 213, 2: 400}), 11: TableSource({0: 712, 1: 213, 2: 0xFFFF})}
    devices = {address: device(address, source) for address, source in units.items()}

    def respond(request: bytes) -> tuple[float, bytes]:
        return 0.01, devices[request[0]].reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu)).frame

    scan_ = Scan("bus", Options(port="/dev/x"), asks(["modbus"], list(units), "rtu"), "9600 8N1", 0.0)
    found = driven(scan_, VirtualWire(VirtualClock(), respond))["found"]
    written = site_text(Place(), [LineFound("usb1", "/dev/x", "9600 8N1", "", found)])
    assert list(read_site_text(written, KINDS, "site.toml").devices) == ["cwt_soil_7in1"], written
    evidence, row = next((first, second) for first, second in pairwise(written.splitlines()) if "address = 9" in second)
    assert "only a guess: 3 of 3 values could be its own (" in evidence
    assert evidence.endswith("compare with its display, then take the # away")
    assert row.startswith("# ")
    assert found[1]["looks_like"][0]["recognised"], "and yet no soil probe"
    assert [fit["profile"] for fit in found[3]["looks_like"] if "soil_ec" in fit["plausible"]] == [], "the end of a range is no value"


def test_a_scan_can_stop_at_the_first_that_answers(tmp_path):
    link = tmp_path / "ttyUSB7"
    with Deaf([device(2, RecognisableSoil(2)), device(5, RecognisableSoil(5))], link) as bus:
        found = json.loads(scan(str(link), NO_SITE, Wish(first=True, addresses="1-30", **FAST), Ways(as_json=True))[1])
        assert [one["address"] for one in found["found"]] == [2]
        assert bus.devices[5].requests == 0


def test_nothing_is_sent_while_another_master_speaks(tmp_path):
    over = threading.Event()
    with FarEnd(tmp_path / "tty", lambda _: None) as far:
        def speak() -> None:
            while not over.wait(0.1):
                far.say(seal(bytes([9]) + Question(9, 3, 0, 10).pdu))

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            code, said, _ = scan(str(tmp_path / "tty"), NO_SITE, Wish(listen_s=2.0))
        finally:
            over.set()
            speaker.join()
        assert far.heard == []
    assert code == 1
    assert "another master asks address 9 in Modbus RTU" in said
    assert 'mode = "listen"' in said


def test_a_sensor_that_speaks_by_itself_is_named_and_not_asked(tmp_path):
    over = threading.Event()
    with FarEnd(tmp_path / "tty", lambda _: None) as far:
        speaker = threading.Thread(target=lambda: [far.say(field_devices.sds011_frame(1)) for _ in range(100) if not over.wait(0.1)])
        speaker.start()
        try:
            code, said, _ = scan(str(tmp_path / "tty"), NO_SITE, Wish(listen_s=0.6), Ways(write=str(tmp_path / "site.toml")))
        finally:
            over.set()
            speaker.join()
        assert far.heard == []
    assert code == 0
    assert "nova_sds011" in said
    prove(load_site(tmp_path / "site.toml"))


@pytest.mark.parametrize(("respond", "protocol", "address", "who"), [
    (field_devices.co2, "mhz19", "", "608 ppm"), (field_devices.Sdi12Sensor("3"), "sdi12", "3", "PROBE1"),
    (lambda request: b"?I,pH,1.98\r*OK\r" if request == b"I\r" else None, "ezo", "", "EZO pH")])
def test_sensors_that_are_asked_in_their_own_protocols_are_found(tmp_path, respond, protocol, address, who):
    def polite(request: bytes) -> bytes | None:
        try:
            return sdi12_any(request) or respond(request)
        except Exception:  # noqa: BLE001 - a question of another protocol
            return None

    def sdi12_any(request: bytes) -> bytes | None:
        return b"3\r\n" if protocol == "sdi12" and request == b"?!" else None

    with FarEnd(tmp_path / "tty", polite):
        found = json.loads(scan(str(tmp_path / "tty"), NO_SITE, Wish(baudrate=9600, addresses="1-1", **FAST), Ways(as_json=True))[1])["found"]
    assert [(one["protocol"], one["address"]) for one in found] == [(protocol, address)]
    assert who in found[0]["who"]


def test_a_meter_tells_its_address(tmp_path):
    def meter(request: bytes) -> bytes | None:
        if b"\x68\xaa\xaa" not in request:
            return None
        return dlt645.build(dlt645.Frame("000000000161", 0x93, bytes.fromhex("610100000000")))

    with FarEnd(tmp_path / "tty", meter):
        found = json.loads(scan(str(tmp_path / "tty"), NO_SITE, Wish(baudrate=2400, format="8E1", addresses="1-1", **FAST), Ways(as_json=True))[1])
    assert [(one["protocol"], one["address"]) for one in found["found"]] == [("dlt645", "000000000161")]


def test_a_quiet_line_says_what_to_look_at_and_garbage_says_another_setting(tmp_path):
    with FarEnd(tmp_path / "tty", lambda _: None):
        code, said, _ = scan(str(tmp_path / "tty"), NO_SITE, Wish(baudrate=9600, addresses="1-2", **FAST))
    assert code == 1
    assert "1 power of the instruments" in said
    with FarEnd(tmp_path / "tty", lambda request: bytes(255 - byte for byte in request)):
        code, said, _ = scan(str(tmp_path / "tty"), NO_SITE, Wish(baudrate=9600, addresses="1-2", **FAST))
    assert code == 1
    assert "another baud rate or parity, or two devices with one address" in said


def test_a_port_that_cannot_be_opened_and_a_line_that_is_not_there_say_so(tmp_path):
    assert scan(str(tmp_path / "none"), NO_SITE, Wish(listen_s=0.1))[0] == 69
    code, _, said = scan("cabinet", NO_SITE, Wish())
    assert code == 2
    assert "name a port" in said
    assert scan(str(tmp_path / "none"), NO_SITE, Wish(addresses="1-999"))[0] == 2


def test_only_readings_and_identifications_are_ever_sent():
    from gateway.scanning.scan_job import KINDS as ALL
    from gateway.scanning.scan_job import asks

    for ask in asks(sorted(ALL), range(1, 248), "rtu"):
        if ask.protocol == "modbus":
            assert ask.request[1] in (3, 4)
        elif ask.protocol == "dlt645":
            assert ask.request[-4] == 0x13
        elif ask.protocol == "sdi12":
            assert ask.request.decode()[1:] in ("I!", "!")
        else:
            assert ask.request in (b"I\r", bytes.fromhex("ff0186000000000079"), bytes.fromhex("7e00d001002e7e"))


def test_the_likeliest_settings_come_first_and_all_means_all():
    assert rounds(Wish())[0].setting == Setting(9600)
    everything = {(r.setting.baudrate, r.setting.format) for r in rounds(Wish(everything=True))}
    assert everything >= {(b, f) for b in (1200, 9600, 115200) for f in ("8N1", "8E1")}
    assert [str(r.setting) for r in rounds(Wish(baudrate=38400, format="8O1"))] == ["38400 8O1"]


def test_whatever_was_found_makes_a_site_file_that_is_right(tmp_path):
    fit = {"profile": "cwt_soil_7in1", "fits": 7, "of": 7, "sure": True}
    soil = {"protocol": "modbus", "address": 1, "setting": "9600 8N1", "looks_like": [fit]}
    lines = [LineFound("usb1", "/dev/serial/by-path/a", "9600 8N1", "CH340", [
        soil, {**soil, "address": 2}, {**soil, "address": 3, "setting": "4800 8N1"}, {"protocol": "modbus", "address": 4, "setting": "9600 8N1"},
        {"protocol": "dlt645", "address": "000000000161", "setting": "9600 8N1"}]),
        LineFound("usb2", "/dev/serial/by-path/b", "9600 8N1", "", [{"protocol": "stream", "address": "", "profiles": ("nova_sds011",)}])]
    ascii_ = LineFound("usb3", "/dev/serial/by-path/c", "9600 7E1", "", [{**soil, "framing": "ascii", "setting": "9600 7E1"}])
    assert read_site_text(site_text(Place(), [ascii_]), KINDS, "site.toml").lines["usb3"].options.framing == "ascii"
    for some in (lines, lines[:1], []):
        text = site_text(Place("balcony", 52.5, 13.4, "Europe/Berlin"), some)
        site = read_site_text(text, KINDS, "site.toml")
        assert len(site.devices) == sum({"usb1": 3, "usb2": 1}[line.name] for line in some)
    assert "set the device to it" in site_text(Place(), lines)


def test_progress_is_a_bar_on_a_terminal_and_a_line_a_minute_elsewhere(monkeypatch):
    from drivers.job import Progress
    from gateway.scanning.progress import ProgressLine

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    now = [100.0]
    monkeypatch.setattr("gateway.scanning.progress.time.monotonic", lambda: now[0])
    bar, log = Terminal(), io.StringIO()
    shown, logged = ProgressLine(bar), ProgressLine(log)
    for done in range(101):
        now[0] += 1.0
        for one in (shown, logged):
            one(Progress(done, 100, f"address {done}"))
    assert bar.getvalue().count("\r") == 101
    assert "51 s left" in bar.getvalue().split("\r")[51]
    assert [line.partition(" %")[0] for line in log.getvalue().splitlines()] == ["59"]
    assert time.monotonic() == now[0]

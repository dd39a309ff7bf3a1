"""Set-up says in one sentence what is in the way, changes nothing then, and costs nothing once it is done."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
NEEDED = ("sh", "cat", "cut", "dirname", "sha256sum", "grep", "env")
REAL_PYTHON = os.path.realpath(sys.executable)


class Checkout:
    """A copy of what set-up reads, and a PATH in which only what the test puts there exists."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "checkout", folder / "bin"
        self.root.mkdir(parents=True)
        self.bin.mkdir()
        shutil.copytree(HOUSE / "tools", self.root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("requirements.lock", "requirements-test.lock", "pyproject.toml"):
            shutil.copy(HOUSE / name, self.root / name)
        for name in NEEDED:
            (self.bin / name).symlink_to(shutil.which(name))
        self.program("uname", "echo aarch64")

    def program(self, name: str, body: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.bin / name).chmod(0o755)

    def python_says(self, name: str, version: str) -> None:
        self.program(name, f"echo {version}")

    def lock(self, text: str) -> None:
        (self.root / "requirements.lock").write_text(text)

    def setup(self, wanted: str = "demo", **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") and not k.lower().endswith("_proxy") and k != "PYTHON"}
        return subprocess.run([self.root / "tools" / "setup", wanted], capture_output=True, text=True, timeout=100, check=False,
                              env={**kept, "PATH": str(self.bin), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", **environment})


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where that can be: an environment is thousands of small files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="setup-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def refused(done: subprocess.CompletedProcess[str], sentence: str, checkout: Checkout) -> None:
    assert (done.returncode, done.stderr.strip(), done.stdout) == (1, sentence, "")
    assert not (checkout.root / ".venv").exists()


def test_a_32_bit_raspberry_pi_os_is_told_which_image_to_take(checkout: Checkout, tmp_path: Path) -> None:
    checkout.program("uname", "echo armv7l")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "rpi-issue").touch()
    told = 'This is 32-bit Raspberry Pi OS (armv7l). EcoSentry needs the 64-bit one: Raspberry Pi Imager → "Raspberry Pi OS Lite (64-bit)".'
    refused(checkout.setup(ROOT=str(tmp_path)), told, checkout)


@pytest.mark.parametrize(("machine", "instead"), [
    ("armv7l", "(aarch64), for example Debian 12 arm64"),
    ("i686", "(x86_64), for example Debian 12 amd64"),
])
def test_another_32_bit_system_is_told_what_is_needed(checkout: Checkout, tmp_path: Path, machine: str, instead: str) -> None:
    checkout.program("uname", f"echo {machine}")
    refused(checkout.setup(ROOT=str(tmp_path)), f"This is a 32-bit system ({machine}). EcoSentry needs a 64-bit one {instead}.", checkout)


def test_an_old_python_is_named_with_its_version(checkout: Checkout) -> None:
    checkout.python_says("python3", "3.9.2")
    refused(checkout.setup(), "Python 3.9.2 found, 3.11 or newer needed (Debian 12 or later has it). Nothing was changed.", checkout)


def test_a_python_that_is_too_new_is_named_with_the_way_out(checkout: Checkout) -> None:
    checkout.python_says("python3", "3.14.1")
    refused(checkout.setup(), "Python 3.14.1 found, EcoSentry is tested with 3.11 to 3.13: install one of these beside it "
            "and run make with PYTHON=python3.13. Nothing was changed.", checkout)


def test_no_python_at_all_is_said(checkout: Checkout) -> None:
    refused(checkout.setup(), "No Python found, 3.11 or newer needed: sudo apt install python3 python3-venv. Nothing was changed.", checkout)


def test_a_newer_python_beside_an_old_one_is_found_and_a_dead_shim_is_passed_over(checkout: Checkout) -> None:
    checkout.python_says("python3", "3.9.2")
    checkout.program("python3.13", "exit 127")
    checkout.program("python3.12", f'[ "$1" = -c ] && exec {REAL_PYTHON} "$@"; echo "started: $*"')
    if sys.version_info[:2] > (3, 13):
        pytest.skip("needs a Python of 3.11 to 3.13")
    done = checkout.setup("test")
    assert done.stdout.startswith("started: tools/environment.py test "), done


def test_a_python_without_its_venv_part_is_told_how_to_get_it(checkout: Checkout) -> None:
    without = 'import runpy, sys; sys.modules["ensurepip"] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
    checkout.program("python3", f"[ \"$1\" = -c ] && exec {REAL_PYTHON} \"$@\"; exec {REAL_PYTHON} -c '{without}' \"$@\"")
    done = checkout.setup()
    version = ".".join(map(str, sys.version_info[:3]))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Python {version} is here without its venv part: sudo apt install python3-venv, then the same make again. Nothing was changed.")
    assert not (checkout.root / ".venv").exists()
    if os.geteuid() == 0:  # root on a Debian: it is fetched without asking, by its own name first
        heard = checkout.root.parent / "apt"
        checkout.program("apt-get", f'echo "$*" >> {heard}')
        checkout.setup()
        assert [line.split()[0] for line in heard.read_text().splitlines()] == ["update", "install", "install"]
        assert f"python3.{sys.version_info[1]}-venv" in heard.read_text()


def test_without_a_network_it_says_so_and_leaves_no_stamp(checkout: Checkout) -> None:
    checkout.program("python3", f'exec {REAL_PYTHON} "$@"')
    done = checkout.setup(PIP_INDEX_URL="http://127.0.0.1:9/")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == ("Could not fetch packages: the package index does not answer. Connected? Behind a proxy set https_proxy. "
                                            "Run the same make again; what was fetched is kept.")
    assert not (checkout.root / ".venv" / "stamp").exists()


def wheel(folder: Path, name: str) -> tuple[Path, str]:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(f"{name}.py", "")
        z.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        z.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


BACKEND = """
import zipfile
def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "ecosentry-0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as z:
        z.writestr("ecosentry-0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: ecosentry\\nVersion: 0\\n")
        z.writestr("ecosentry-0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        z.writestr("ecosentry-0.dist-info/RECORD", "")
    return name
build_wheel = build_editable
"""


def test_a_changed_file_is_refused_the_right_one_taken_and_the_second_time_costs_nothing(checkout: Checkout, tmp_path: Path) -> None:
    checkout.program("python3", f'exec {REAL_PYTHON} "$@"')
    _, right = wheel(tmp_path / "wheels", "tiny")
    (checkout.root / "backend.py").write_text(BACKEND)
    (checkout.root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "ecosentry"\nversion = "0"\n')
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}

    checkout.lock(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    done = checkout.setup(**pip)
    assert done.returncode == 1
    assert "Could not fetch packages: a package differs from the locked one, so nothing of it was installed." in done.stderr
    site = next(checkout.root.glob(".venv/lib/python*/site-packages"))
    assert not (site / "tiny.py").exists()

    checkout.lock(f"tiny==1.0 --hash=sha256:{right}\n")
    done = checkout.setup(**pip)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Python {'.'.join(map(str, sys.version_info[:3]))}, ")
    assert "packages, hashes checked (" in done.stdout
    assert (site / "tiny.py").exists()

    began = time.monotonic()
    done = checkout.setup(**pip)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - began < 0.3

    (site / "left.py").touch()
    checkout.lock(f"tiny==1.0 --hash=sha256:{right}\n\n")  # another lock: nothing of the old environment may stay
    assert checkout.setup(**pip).returncode == 0
    assert not (site / "left.py").exists()


PRODUCT = """
def build_wheel(directory, config_settings=None, metadata_directory=None):
    import zipfile
    name = "ecosentry-0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as z:
        z.writestr("gateway/__init__.py", "")
        z.writestr("gateway/cli.py", "def main():\\n    print('the product')\\n    return 7\\n")
        z.writestr("ecosentry-0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: ecosentry\\nVersion: 0\\n")
        z.writestr("ecosentry-0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        z.writestr("ecosentry-0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def ready_to_install(checkout: Checkout, tmp_path: Path) -> Checkout:
    """What `make install` needs, with a product of three lines and one locked package, so that no network is asked."""
    checkout.program("python3", f'exec {REAL_PYTHON} "$@"')
    for name in ("mkdir", "rm", "mv", "cp", "ln", "chmod", "sed", "id"):
        (checkout.bin / name).symlink_to(shutil.which(name))
    _, right = wheel(tmp_path / "wheels", "tiny")
    checkout.lock(f"tiny==1.0 --hash=sha256:{right}\n")
    (checkout.root / "backend.py").write_text(PRODUCT)
    (checkout.root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "ecosentry"\nversion = "0.1.0"\n')
    for name in ("docs", "systemd"):
        shutil.copytree(HOUSE / name, checkout.root / name)
    for name in ("LICENSE", "README.md", "CHANGELOG.md"):
        shutil.copy(HOUSE / name, checkout.root / name)
    return checkout


def install(checkout: Checkout, **environment: str) -> subprocess.CompletedProcess[str]:
    wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout.root.parent / "wheels"), "PIP_CONFIG_FILE": os.devnull}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") and k not in ("PYTHON", "DESTDIR", "SUDO_USER")}
    return subprocess.run([checkout.root / "tools" / "install"], capture_output=True, text=True, timeout=100, check=False,
                          env={**kept, **wheels, "PATH": str(checkout.bin), **environment})


def test_install_puts_program_command_and_service_below_destdir_and_an_upgrade_keeps_the_one_before(ready_to_install: Checkout, tmp_path: Path):
    root = tmp_path / "image"
    done = install(ready_to_install, DESTDIR=str(root))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("Installed EcoSentry 0.1.0 in /opt/ecosentry, command /usr/local/bin/ecosentry, "
                           "service ecosentry (not started: no site file yet)\n")
    assert str((root / "usr/local/bin/ecosentry").readlink()) == "/opt/ecosentry/bin/ecosentry"
    launcher = root / "opt/ecosentry/bin/ecosentry"
    assert launcher.read_text().startswith("#!/opt/ecosentry/bin/python -P\n")
    ran = subprocess.run([root / "opt/ecosentry/bin/python", "-P", launcher], capture_output=True, text=True, check=False,
                         env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
    assert (ran.returncode, ran.stdout) == (7, "the product\n")
    assert (root / "usr/local/lib/systemd/system/ecosentry.service").read_text() == (HOUSE / "systemd/ecosentry.service").read_text()
    assert (root / "etc/ecosentry/secrets").stat().st_mode & 0o777 == 0o700
    assert not (root / "opt/ecosentry.new").exists()

    (root / "opt/ecosentry/of the first").touch()
    (root / "etc/ecosentry/site.toml").touch()
    done = install(ready_to_install, DESTDIR=str(root))
    assert done.stdout.endswith("service ecosentry (to use it: sudo systemctl restart ecosentry)\nThe one before is in /opt/ecosentry.old\n"), done
    assert (root / "opt/ecosentry.old/of the first").exists()
    assert launcher.exists()


def test_an_install_that_fails_leaves_the_one_that_runs_alone(ready_to_install: Checkout, tmp_path: Path):
    root = tmp_path / "image"
    (root / "opt/ecosentry").mkdir(parents=True)
    (root / "opt/ecosentry/running").touch()
    ready_to_install.lock(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    done = install(ready_to_install, DESTDIR=str(root))
    assert done.returncode == 1
    assert "a package differs from the locked one" in done.stderr
    assert sorted(p.name for p in (root / "opt").iterdir()) == ["ecosentry"]
    assert (root / "opt/ecosentry/running").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may install")
def test_install_without_root_says_who_may(ready_to_install: Checkout):
    done = install(ready_to_install)
    assert (done.returncode, done.stderr) == (
        1, "This installs for the whole machine: sudo make install (make demo needs no root). Nothing was changed.\n")


def environment() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("environment_under_test", HOUSE / "tools" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_32_bit_system_under_a_64_bit_kernel_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    under_test = environment()
    under_test.sys = types.SimpleNamespace(maxsize=2**31 - 1, stderr=sys.stderr)
    assert under_test.main("demo", "", "") == 1
    assert "The system's Python is a 32-bit one" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "sentence"), [
    ("WARNING: Retrying … [Errno -3] Temporary failure in name resolution\nERROR: No matching distribution found for amqtt==0.12.1",
     "no name server answers. Connected?"),
    ("… [Errno 101] Network is unreachable'))\nERROR: No matching distribution", "no route to the package index. Connected?"),
    ("… ProxyError('Cannot connect to proxy.', …)", "the proxy refused. Is https_proxy right?"),
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full."),
    ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate is not yet valid", "Is the clock right (now 20"),
    ("ERROR: No matching distribution found for llvmlite==9", "there is no ready-made package for "),
    ("ERROR: something that nobody has seen",
     "Could not fetch packages: something that nobody has seen. Run the same make again; what was fetched is kept."),
])
def test_what_pip_says_becomes_one_sentence_with_a_next_step(said: str, sentence: str) -> None:
    told = environment().explain(said)
    assert sentence in told
    assert "\n" not in told
    assert told.endswith("what was fetched is kept.")

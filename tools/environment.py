"""Makes `.venv` with exactly the locked packages, and says in one sentence what is in the way.

Called by tools/setup with a Python that is known to be new enough; only the standard library is used. What pip has fetched stays in
its cache, and an interrupted set-up is taken up where it stopped, so that `make demo` again is always the right answer.
`--into FOLDER [LOCK…]` (tools/install) makes an environment that holds the product itself, not a link to this checkout.
"""

import fcntl
import importlib.util
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
VENV = HERE / ".venv"
LOCKS = {"demo": "requirements.lock", "test": "requirements-test.lock"}

NETWORK = "Connected? Behind a proxy set https_proxy."
CAUSES = (  # what pip says, what it means; the first that fits is told
    (
        ("DO NOT MATCH THE HASHES", "Hashes are required"),
        "a package differs from the locked one, so nothing of it was installed. A mirror that changes files? Try another network.",
    ),
    (("No space left on device",), "the disk is full. About 800 MB are needed here and in the temporary folder."),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "the server's certificate was not accepted. Is the clock right (now {now})? A proxy with its own certificate: set PIP_CERT.",
    ),
    (("Temporary failure in name resolution", "Name or service not known", "getaddrinfo failed"), f"no name server answers. {NETWORK}"),
    (("Network is unreachable", "No route to host"), f"no route to the package index. {NETWORK}"),
    (("ProxyError", "Tunnel connection failed"), "the proxy refused. Is https_proxy right?"),
    (
        ("Connection refused", "timed out", "ConnectTimeout", "ReadTimeout", "NewConnectionError", "Connection reset"),
        f"the package index does not answer. {NETWORK}",
    ),
    (("No matching distribution", "Could not find a version"), "there is no ready-made package for {machine} with Python {python}: {last}."),
)


def main(*words: str) -> int:
    """`--into FOLDER`, or what tools/setup wants; the exit code."""
    if sys.maxsize < 2**32:
        return refuse(
            f"The system's Python is a 32-bit one (under a {platform.machine()} kernel). EcoSentry needs a 64-bit system: "
            'Raspberry Pi Imager → "Raspberry Pi OS Lite (64-bit)".'
        )
    return into(pathlib.Path(words[1]), *words[2:]) if words[0] == "--into" else here(*words)


def into(folder: pathlib.Path, *more: str) -> int:
    """Everything that runs, and the product itself, in an environment at `folder`; and what is locked in the files of `more`."""
    problem = new_venv(folder) or fetched(folder, LOCKS["demo"], ".")
    for lock in more:
        problem = problem or pip(folder, "--only-binary", ":all:", "--require-hashes", "--requirement", lock)
    return refuse(problem) if problem else 0


def here(wanted: str, locks: str, package: str) -> int:
    """Make or complete .venv for `wanted` (demo or test); `locks` and `package` are told again in its stamp."""
    if not os.access(HERE, os.W_OK):
        return refuse(f"{HERE} cannot be written, and the environment is made in it: copy or clone it to a folder of yours. Nothing was changed.")
    with (HERE / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once: the second finds the work done
        if made() in (["test", locks, package], [wanted, locks, package]):
            return 0
        problem = make(wanted, locks, package)
    return refuse(problem) if problem else 0


def made() -> list[str]:
    """What is in .venv by its own word: level, locks, package; or nothing."""
    try:
        return (VENV / "stamp").read_text().splitlines()
    except OSError:
        return []


def make(wanted: str, locks: str, package: str) -> str:
    """Do it; "" or the sentence that says why not."""
    began = time.monotonic()
    there = made()
    if there[1:2] not in ([], [locks]) or not same_python():
        shutil.rmtree(VENV, ignore_errors=True)  # other locks, another Python or another place: start afresh, pip's cache makes it quick
    if there[:1] == ["test"]:
        wanted = "test"
    if not (VENV / "bin" / "pip").exists():
        print("Setting up .venv, once: about a minute on a PC, a few on a Raspberry Pi", file=sys.stderr, flush=True)
        problem = new_venv(VENV)
        if problem:
            return problem
    (VENV / "stamp").unlink(missing_ok=True)
    problem = fetched(VENV, LOCKS[wanted], "--editable", ".")
    if problem:
        return problem
    (VENV / "stamp").write_text(f"{wanted}\n{locks}\n{package}\n")
    count = sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))
    python = platform.python_version()
    took_s = time.monotonic() - began
    print(f"Python {python}, {platform.machine()}. Environment in .venv: {count} packages, hashes checked ({took_s:.0f} s, once)", flush=True)
    return ""


def same_python() -> bool:
    """Whether .venv is made of the Python that runs this, and that one still runs."""
    try:
        shown = run([str(VENV / "bin" / "python"), "-c", "import sys; print(sys.version)"])
    except OSError:
        return False
    return shown.stdout.strip() == sys.version.strip()


def fetched(folder: pathlib.Path, lock: str, *package: str) -> str:
    """The locked packages by their hashes, then the product, which needs no network; "" or the sentence that says why not."""
    return (
        pip(folder, "--only-binary", ":all:", "--require-hashes", "--requirement", lock)
        or pip(folder, "--no-index", "--no-deps", "--no-build-isolation", *package)
    )  # fmt: skip


def new_venv(folder: pathlib.Path) -> str:
    """An empty environment; "" or why not. Debian keeps the half of `venv` that is needed in a package of its own."""
    if importlib.util.find_spec("ensurepip") is None and not install_venv():
        found = f"Python {platform.python_version()} is here without its venv part"
        return f"{found}: sudo apt install python3-venv, then the same make again. Nothing was changed."
    done = run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        said = (done.stdout + done.stderr).strip().splitlines()
        return f"Could not make {folder}: {said[-1] if said else 'no reason given'}"
    return ""


def install_venv() -> bool:
    """Root on a Debian: install the missing part and say so."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print("Installing python3-venv (apt-get)", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], environment)
    for package in (f"python{sys.version_info[0]}.{sys.version_info[1]}-venv", "python3-venv"):
        run(["apt-get", "install", "-y", "--no-install-recommends", package], environment)
        importlib.invalidate_caches()
        if importlib.util.find_spec("ensurepip") is not None:
            return True
    return False


def pip(folder: pathlib.Path, *arguments: str) -> str:
    """Run pip install in the environment at `folder`; "" or the sentence that says why it failed."""
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2")
    done = run([str(folder / "bin" / "python"), "-m", "pip", "install", *options, *arguments])
    return explain(done.stdout + done.stderr) if done.returncode else ""


def explain(said: str) -> str:
    """One sentence for pip's many lines."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = next((line.removeprefix("ERROR: ") for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "pip said nothing")
    for words, meaning in CAUSES:
        if any(word in said for word in words):
            now = time.strftime("%Y-%m-%d %H:%M")
            filled = meaning.format(now=now, machine=platform.machine(), python=platform.python_version(), last=last)
            break
    else:
        filled = f"{last}."
    return f"Could not fetch packages: {filled} Run the same make again; what was fetched is kept."


def run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in the checkout without a terminal; what it said and its exit code."""
    return subprocess.run(command, cwd=HERE, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def refuse(why: str) -> int:
    """Say it to people, and fail."""
    print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))

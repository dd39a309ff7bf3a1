"""`make bench`: every benchmark, each in its own process, one after another. ARGS="encoding startup" runs these, "--write" keeps the figures.

A benchmark is a file here with `main() -> dict` of figures. What they mean on a busy machine: ratios within one run, and CPU time.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent / "docs" / "benchmarks.json"
ONE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location(sys.argv[1], sys.argv[2])
sys.modules[sys.argv[1]] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
json.dump(module.main(), sys.stdout)
"""


def names() -> list[str]:
    return sorted(p.stem for p in HERE.glob("*.py") if p.stem != "run" and not p.stem.startswith("_") and "def main()" in p.read_text("utf-8"))


def measure(name: str) -> tuple[dict, float]:
    """A benchmark's figures and the CPU seconds of all its processes. Raises RuntimeError with what it said when it failed."""
    before = os.times()
    done = subprocess.run([sys.executable, "-c", ONE, name, str(HERE / f"{name}.py")], capture_output=True, text=True, check=False)
    after = os.times()
    spent_s = after.children_user + after.children_system - before.children_user - before.children_system
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1]), spent_s


def show(figures: dict, indent: str = "  ") -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            show(value, indent + "  ")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            print(f"{indent}{name:42} {value:>14,.6g}")
        else:
            print(f"{indent}{name:42} {value!s:>14}")


def main() -> int:
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--write", action="store_true", help=f"keep the figures in {KEPT.relative_to(HERE.parent)}")
    chosen = arguments.parse_args()
    unknown = set(chosen.names) - set(names())
    if unknown:
        arguments.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    failed = 0
    for name in chosen.names or names():
        try:
            figures, spent_s = measure(name)
        except (RuntimeError, ValueError) as error:
            print(f"{name}   FAILED: {error}", file=sys.stderr)
            failed += 1
            continue
        print(f"{name}   ({spent_s:.0f} s of CPU)", flush=True)
        show(figures)
        kept[name] = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "python": platform.python_version(), "machine": platform.machine(),
                      "cores": os.cpu_count(), "figures": figures}
    if chosen.write:
        KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"kept in {KEPT.relative_to(HERE.parent)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

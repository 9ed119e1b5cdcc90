"""Runs every measurement of this folder, one after another, each in a process of its own."""

import json
import pkgutil
import subprocess
import sys

import bench


def main() -> int:
    """Prints what the measurements print. Returns 1 when one failed or did not end with its line of JSON."""
    failed = []
    for module in pkgutil.iter_modules(bench.__path__):
        if module.name.startswith("_"):
            continue
        run = subprocess.run(
            [sys.executable, "-m", f"bench.{module.name}"], stdout=subprocess.PIPE, text=True, check=False
        )
        print(run.stdout, end="", flush=True)
        if run.returncode or not _ends_with_figures(run.stdout):
            failed.append(module.name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def _ends_with_figures(output: str) -> bool:
    lines = output.splitlines()
    try:
        return bool(lines) and "figures" in json.loads(lines[-1])
    except (ValueError, TypeError):
        return False


if __name__ == "__main__":
    sys.exit(main())

"""What needs link kinds that this machine's kernel may lack, on a kernel that has them.

The tests are those of other directories, which skip such cases: here they run in a user-mode Linux
(uml.sh), whose one CPU is slow, and must not skip any.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.node import TOOLS_PATH

ROOT = Path(__file__).parents[2]
SKIPPED = 77
SECONDS = 1500
CONFORMANCE, INNER = "tests/conformance/test_cnifast.py", "tests/kernel/test_inner.py"
# Some cases of each plugin in process, one by the other ways; all of them with CNIFAST_UML=all.
SOME = "mtu or chained or in-container or dns or v6 or taken or no-ipam"
RUNS = {
    "ipvlan": (CONFORMANCE, f"ipvlan and inproc and (mode-l3 or {SOME})"),
    "vlan": (
        CONFORMANCE,
        f"vlan- and not ipvlan and not macvlan and inproc and (id-4094 or {SOME})",
    ),
    "dummy": (CONFORMANCE, f"dummy and inproc and (routes or {SOME})"),
    "ways": (CONFORMANCE, "ipvlan-static and (cold or warm)"),
    "packets": (INNER, "inproc"),
}
ALL = {"ipvlan": "ipvlan", "vlan": "vlan- and not ipvlan and not macvlan", "dummy": "dummy"}


@pytest.mark.parametrize("name", RUNS)
def test_in_another_kernel(name: str) -> None:
    """All tests of a plugin pass, and none is skipped."""
    for tool in ("linux.uml", "modprobe"):
        if shutil.which(tool, path=TOOLS_PATH) is None:
            pytest.skip(f"needs {tool} (Debian packages user-mode-linux and kmod)")
    file, wanted = RUNS[name]
    if os.environ.get("CNIFAST_UML") == "all":
        wanted = ALL.get(name, wanted)
    done = subprocess.run(
        [
            *("bash", str(ROOT / "tests/uml/uml.sh"), sys.executable, "-m", "pytest", "-q", "-n0"),
            *("-p", "no:cacheprovider", "-rs", file, "-k", wanted),
        ],
        cwd=ROOT,
        env={**os.environ, "UML_TIMEOUT": str(SECONDS), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 60,
    )
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    counted = re.findall(r"^(\d+) passed.*$", done.stdout, re.MULTILINE)
    assert counted, done.stdout[-3000:]
    assert int(counted[-1]) > 0
    assert "skipped" not in done.stdout, done.stdout[-3000:]

# SPDX-License-Identifier: Apache-2.0
"""Asks pip-audit about the locks and says what it has found; `make audit` runs it.

pip-audit ends with success if its data cannot be reached: every package is then skipped. Here that is no success.

    python tests/support/audit.py PIP-AUDIT LOCK...
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 69


def audit(pip_audit: str, lock: str) -> tuple[int, list[str]]:
    """Return the status for one lock, and what to print."""
    command = [pip_audit, "--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json", "-r", lock]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip() or "it printed nothing").splitlines()[-1]
        return NOT_AUDITED, [f"{lock}: not audited: {last}"]
    found = [
        f"{lock}: {each['name']} {each['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for each in packages
        for flaw in each.get("vulns", [])
    ]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if skipped or not packages:
        reason = (
            "pip-audit cannot reach its data here (pypi.org)" if len(skipped) == len(packages) else "not on pypi.org"
        )
        found.append(f"{lock}: {len(skipped)} of {len(packages)} packages not audited: {reason}: {', '.join(skipped)}")
    if any(each.get("vulns") for each in packages):
        return VULNERABLE, found
    if skipped or not packages:
        return NOT_AUDITED, found
    return CLEAN, [f"{lock}: {len(packages)} packages, none with a known vulnerability"]


def main(arguments: Sequence[str]) -> int:
    """Audit each lock. Returns 1 if a package is vulnerable, else 69 if one was not audited, else 0."""
    pip_audit, *locks = arguments
    results = [audit(pip_audit, lock) for lock in locks]
    for _, lines in results:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    statuses = {status for status, _ in results}
    return VULNERABLE if VULNERABLE in statuses else max(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: Apache-2.0
"""`python -m sideman`."""

from __future__ import annotations

import sys

from sideman.cli import main

if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""SHA-256 without OpenSSL: hashlib would load its library for it, 3.4 MB that a playing process keeps."""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found]  # CPython since 3.12
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]  # CPython 3.11
    except ImportError:
        from hashlib import sha256


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data`, in hexadecimal."""
    return str(sha256(data).hexdigest())

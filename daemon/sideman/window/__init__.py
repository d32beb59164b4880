# SPDX-License-Identifier: Apache-2.0
"""The page in the browser: `sideman window`, a process of its own that serves files and one WebSocket for each page.

Like the live view of the terminal it is a client of the control socket, so it cannot delay a note. `gate` says who may
come in, `server` serves, `bridge` passes lines between a page and the daemon, and `page/` is what the browser loads.
"""

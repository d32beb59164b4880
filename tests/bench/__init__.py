# SPDX-License-Identifier: Apache-2.0
"""How fast, how punctual and how small sideman is on this machine, each figure beside its floor or peer.

One module a subject, each with `figures(effort)`. Whatever is compared is measured in turns in the same run, because
machines are busy with other things: medians and ratios are to be trusted more than single figures.
"""

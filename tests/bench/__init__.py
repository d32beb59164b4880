# SPDX-License-Identifier: Apache-2.0
"""How fast, punctual and small sideman is on this machine; each figure stands beside a lower bound or an alternative.

Each module measures one subject and has a function `figures(effort)`. Things that are compared are measured alternately
in the same run, because other programs use the machine too: medians and ratios mean more than single figures.
"""

# SPDX-License-Identifier: Apache-2.0
"""Feeds the readers of sideman with wrong input (atheris, which is libFuzzer): `make fuzz`. No part of `make test`."""

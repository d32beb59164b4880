# SPDX-License-Identifier: Apache-2.0
"""The network that plays (`lstm`), its files, and the same network in Keras and LiteRT."""

# SPDX-License-Identifier: Apache-2.0
"""A real-time MIDI improviser: the running process around the network of `sideman_models`."""

__version__ = "0.1.0"

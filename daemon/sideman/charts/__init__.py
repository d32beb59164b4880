# SPDX-License-Identifier: Apache-2.0
"""Reads the chart files of other programs: iReal Pro, MIDI, MusicXML."""

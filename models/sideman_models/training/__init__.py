# SPDX-License-Identifier: Apache-2.0
"""Trains networks on modern values: the vocabulary, the split, the training step, checkpoints and clusters."""

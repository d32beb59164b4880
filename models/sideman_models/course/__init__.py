# SPDX-License-Identifier: Apache-2.0
"""The assignments of the course *Sequence Models*: the corpus, networks, training, generated music, names."""

# SPDX-License-Identifier: Apache-2.0
"""The models of sideman: musical values, the network that improvises with them, its training and its evaluation."""

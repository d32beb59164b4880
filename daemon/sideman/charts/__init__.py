# SPDX-License-Identifier: Apache-2.0
"""Charts of every kind of file, each read into one `Chart`."""

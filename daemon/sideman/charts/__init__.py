# SPDX-License-Identifier: Apache-2.0
import re

IREAL_LINK = re.compile(r"ireal(?:b|book)://", re.IGNORECASE)
"""How a link of iReal Pro begins. It stands here so that a chart of another format is recognised without its reader."""

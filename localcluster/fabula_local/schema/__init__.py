"""What the laptop cluster's API knows about objects without touching storage or the network.

Pure functions on plain dicts: structural schemas, CEL rules, patches, server-side apply, tables and OpenAPI documents.
"""

import sys
from types import ModuleType

# The CEL engine's package imports its interactive shell, and with it a terminal's libraries, which no server needs.
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

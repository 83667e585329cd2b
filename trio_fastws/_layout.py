"""What the protocol and the transport must agree on, and neither may ask the other.

The `.pxd` beside it has the C type of a flag, for the same reason.
"""

from __future__ import annotations

# Room in front of what was read, for the bytes of a frame header that a parser has kept
# from its previous read: it always sees them side by side. The longest header has 14
# bytes (RFC 6455 5.2), so at most 13 wait.
HEADROOM = 16

"""The terminal console: what a cluster looks like now, read through the public client.

Owns screens, keys and how figures are drawn. Must not know storage, index, membership or any other inside of a node: of
this project it imports `vectron_p2p.model` and `vectron_p2p.client` only. It reads and never changes anything.

Layers, low to high, each importing only those above it: `store` and `events` (what is known, how old it is), `render`
(domain objects to lines, cells and tones), `source` and `connection` (the one worker that feeds the store), `widgets`,
`screens`, `dialogs`, `commands`, `app`. The first three know no Textual, so that they are tested without a terminal.
"""

import os

# Textual waits up to two of its frames, of 17 ms, before it draws what a key has changed a moment after something else.
# Nothing moves by itself here, so more of them cost nothing. Read by Textual when it is imported.
os.environ.setdefault("TEXTUAL_FPS", "240")

"""`python -m vectron_p2p` is the command `vectron`."""

from __future__ import annotations

from vectron_p2p.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m vectron_p2p.sample FOLDER`: the sample as files for `vectron import`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vectron_p2p.sample import write_sample


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m vectron_p2p.sample", description="Write the sample data set for `vectron import`."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    for path in write_sample(parser.parse_args().folder).values():
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()

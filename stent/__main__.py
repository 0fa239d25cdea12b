"""`python -m stent`: the same as the `stent` script."""

from __future__ import annotations

from stent.cli import main

if __name__ == "__main__":
    main()

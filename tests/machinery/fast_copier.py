"""Copier's command line, with less to do for each file: `python -P -m tests.machinery.fast_copier`."""

from __future__ import annotations

from copier.__main__ import CopierApp

from tests.machinery.copier_cache import memoise_copying

if __name__ == "__main__":
    memoise_copying()
    CopierApp.run()

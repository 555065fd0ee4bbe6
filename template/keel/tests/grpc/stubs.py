"""The code that is generated from `protos/`: `uv run python -m keel.tests.grpc.stubs` makes it anew."""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[3]
PROTOS = ROOT / "app/examples/notes/grpc/protos"
STUBS = Path("app/examples/notes/grpc/stubs")


def names() -> list[str]:
    """Return the files below `protos/`."""
    return sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))


def compiled(*options: str) -> None:
    """Run the compiler. Files are known by where their code stands, so that it imports other such code from there.

    Raises:
        RuntimeError: a file is not right; the compiler has said why.
    """
    included = files("grpc_tools") / "_proto"
    arguments = [f"-I{STUBS.as_posix()}={PROTOS}", f"-I{included}", *options]
    if protoc.main(["protoc", *arguments, *(f"{STUBS.as_posix()}/{name}" for name in names())]) != 0:
        raise RuntimeError("protoc failed")


def generate(place: Path) -> None:
    """Write code, and types for it, below a folder."""
    compiled(f"--python_out={place}", f"--pyi_out={place}", f"--grpc_python_out={place}")


if __name__ == "__main__":
    generate(ROOT)
    sys.stdout.write(f"{len(names())} files of protos/ are now below {STUBS}.\n")

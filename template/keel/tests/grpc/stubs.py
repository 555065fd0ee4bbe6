"""The code that is generated from `.proto` files: `uv run python -m keel.tests.grpc.stubs` makes it anew.

A package of `app/` has its files below `grpc/protos/`, and the code below `grpc/stubs/`.
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[3]


class Protos:
    """The `.proto` files of a project."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._folders = sorted(path for path in (root / "app").rglob("grpc/protos") if path.is_dir())

    @property
    def names(self) -> list[str]:
        """The files, each by where its code stands: `app/books/grpc/stubs/books/v1/books.proto`.

        Files of all packages import each other by these names, as the code does.
        """
        return sorted(
            f"{self._stubs(folder)}/{path.relative_to(folder).as_posix()}"
            for folder in self._folders
            for path in folder.rglob("*.proto")
        )

    def compile(self, *options: str) -> None:
        """Run the compiler, if there are files.

        Raises:
            RuntimeError: a file is not right; the compiler has said why.
        """
        if not self.names:
            return
        paths = [f"-I{self._stubs(folder)}={folder}" for folder in self._folders]
        included = files("grpc_tools") / "_proto"
        if protoc.main(["protoc", *paths, f"-I{included}", *options, *self.names]) != 0:
            raise RuntimeError("protoc failed")

    def generate(self, place: Path | None = None) -> None:
        """Write code, and types for it, below a folder: the project's unless another is named."""
        out = place or self._root
        self.compile(f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}")

    def generated(self) -> list[Path]:
        """Return the generated files, from the project's folder."""
        found = (self._root / "app").rglob("grpc/stubs/**/*_pb2*.py*")
        return sorted(path.relative_to(self._root) for path in found if path.suffix in {".py", ".pyi"})

    def _stubs(self, folder: Path) -> str:
        return folder.with_name("stubs").relative_to(self._root).as_posix()


def main(root: Path = ROOT) -> None:
    """Generate, and say what was done."""
    protos = Protos(root)
    protos.generate()
    for name in protos.names:
        sys.stdout.write(f"Generated from {name.replace('/grpc/stubs/', '/grpc/protos/', 1)}\n")
    if not protos.names:
        sys.stdout.write("Nothing to generate: no package of app/ has .proto files below grpc/protos/.\n")


if __name__ == "__main__":
    main()

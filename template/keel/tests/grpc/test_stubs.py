"""Generated code and what it was generated from."""

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from keel.tests.grpc.stubs import ROOT, STUBS, compiled, generate, names


def test_stubs_match_the_protos(tmp_path: Path) -> None:
    """Descriptors are compared, so that any version of the compiler will do."""
    compiled(f"--descriptor_set_out={tmp_path / 'set'}")
    described = FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file

    assert len(described) == len(names()) > 0
    for name, expected in zip(names(), described, strict=True):
        module = import_module(".".join((STUBS / name).with_suffix("").parts) + "_pb2")
        actual = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for message in expected.message_type:
            for field in message.field:
                field.ClearField("json_name")
        assert actual == expected, f"{name} has changed: run python -m keel.tests.grpc.stubs"


def test_generate(tmp_path: Path) -> None:
    """The command writes the files that are there."""
    generate(tmp_path)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*")}

    assert written == {
        path.relative_to(ROOT) for path in (ROOT / STUBS).rglob("*_pb2*.py*") if path.suffix in {".py", ".pyi"}
    }


def test_installed_versions_suffice() -> None:
    """Stubs need the version of gRPC that generated them, or a later one; `pyproject.toml` declares it."""
    declared = dict(
        re.findall(r'^    "(grpcio|protobuf)>=([\d.]+)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    )
    for path in (ROOT / STUBS).rglob("*_pb2_grpc.py"):
        (needed,) = re.findall(r"^GRPC_GENERATED_VERSION = '([\d.]+)'$", path.read_text(), re.MULTILINE)
        assert _parts(needed) <= _parts(declared["grpcio"]) <= _parts(version("grpcio"))
    for path in (ROOT / STUBS).rglob("*_pb2.py"):
        (needed,) = re.findall(r"^# Protobuf Python Version: ([\d.]+)$", path.read_text(), re.MULTILINE)
        assert _parts(needed) <= _parts(declared["protobuf"]) <= _parts(version("protobuf"))


def _parts(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))

"""Generated code and its sources."""

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from keel.tests.grpc.stubs import ROOT, Protos, main

SHIP = """
syntax = "proto3";
package harbour.ships.v1;
import "google/protobuf/empty.proto";
message Ship { string name = 1; }
service Ships { rpc Sink(Ship) returns (google.protobuf.Empty); }
"""

CREW = """
syntax = "proto3";
package harbour.crews.v1;
import "app/ships/grpc/stubs/ships.proto";
message Crew { harbour.ships.v1.Ship ship = 1; }
"""


def test_stubs_match_the_protos(tmp_path: Path) -> None:
    """Descriptors are compared, so any version of the compiler works."""
    described = tmp_path / "set"
    described.touch()
    Protos().compile(f"--descriptor_set_out={described}")

    for expected in FileDescriptorSet.FromString(described.read_bytes()).file:
        module = import_module(expected.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        actual = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for message in expected.message_type:
            for field in message.field:
                field.ClearField("json_name")
        assert actual == expected, f"{expected.name} has changed: run python -m keel.tests.grpc.stubs"


def test_no_stub_is_missing_or_left(tmp_path: Path) -> None:
    """The command generates exactly the files that exist."""
    Protos().generate(tmp_path)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*")]

    assert sorted(written) == Protos().generated()


def test_packages_with_protos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each package gets its code next to its files, which may import those of another package."""
    for name, text in (("ships/grpc/protos/ships.proto", SHIP), ("trade/crews/grpc/protos/v1/crews.proto", CREW)):
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")

    main(tmp_path)

    ships, crews = "app/ships/grpc/stubs/ships", "app/trade/crews/grpc/stubs/v1/crews"
    written = {path.as_posix() for path in Protos(tmp_path).generated()}
    assert written == {f"{name}_pb2{end}" for name in (ships, crews) for end in (".py", ".pyi", "_grpc.py")}
    assert "from app.ships.grpc.stubs import ships_pb2" in (tmp_path / f"{crews}_pb2.py").read_text(encoding="utf-8")
    assert capsys.readouterr().out.splitlines() == [
        "Generated from app/ships/grpc/protos/ships.proto",
        "Generated from app/trade/crews/grpc/protos/v1/crews.proto",
    ]


def test_no_package_has_protos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says that there is nothing to generate."""
    main(tmp_path)

    assert capsys.readouterr().out.startswith("Nothing to generate")
    assert [*tmp_path.iterdir()] == []


def test_wrong_file(tmp_path: Path) -> None:
    """The compiler prints the error, and the command fails."""
    path = tmp_path / "app/ships/grpc/protos/ships.proto"
    path.parent.mkdir(parents=True)
    path.write_text("message", encoding="utf-8")

    with pytest.raises(RuntimeError, match="protoc"):
        main(tmp_path)


def test_installed_versions_suffice() -> None:
    """Stubs need at least the gRPC version that generated them; `pyproject.toml` declares it."""
    declared = dict(
        re.findall(r'^    "(grpcio|protobuf)>=([\d.]+)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    )
    assert _parts(declared["grpcio"]) <= _parts(version("grpcio"))
    assert _parts(declared["protobuf"]) <= _parts(version("protobuf"))
    for path in Protos().generated():
        text = (ROOT / path).read_text(encoding="utf-8")
        for needed in re.findall(r"^GRPC_GENERATED_VERSION = '([\d.]+)'$", text, re.MULTILINE):
            assert _parts(needed) <= _parts(declared["grpcio"]), path
        for needed in re.findall(r"^# Protobuf Python Version: ([\d.]+)$", text, re.MULTILINE):
            assert _parts(needed) <= _parts(declared["protobuf"]), path


def _parts(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))

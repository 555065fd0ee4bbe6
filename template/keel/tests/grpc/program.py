"""The project with widgets and the tests' own services, as a process: `python -m keel.tests.grpc.program grpc`."""

from keel.ops import cli
from keel.tests.application import create_app

if __name__ == "__main__":
    cli.build(create_app, "keel.tests.grpc")(prog_name="program")

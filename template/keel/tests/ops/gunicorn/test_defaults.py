"""Gunicorn's settings."""

import json
import logging
import logging.config
import os
import runpy
import socket
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from keel.ops.gunicorn.defaults import bind_address, log_config, trusted_proxies, usable_cpus

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "not a quota"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_workers_follow_the_quota(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    """One worker per CPU of the container's quota (cgroup v2 or v1), or per CPU of the machine."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n", encoding="ascii")

    assert usable_cpus(tmp_path) == (expected or len(os.sched_getaffinity(0)))


def test_both_families_are_served() -> None:
    """A socket accepts IPv4 and, if the machine has it, IPv6."""
    host = bind_address("8000").rpartition(":")[0]
    hosts = ["127.0.0.1", *(["::1"] if host == "[::]" else [])]
    assert host in {"[::]", "0.0.0.0"}  # noqa: S104 - what a server is meant for
    family = socket.AF_INET6 if host == "[::]" else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host.strip("[]"), 0))
        listener.listen()
        for client in hosts:
            socket.create_connection((client, listener.getsockname()[1])).close()


def test_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv4 is served."""

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(socket, "socket", refuse)

    assert bind_address("8000") == "0.0.0.0:8000"


def test_proxies_by_ipv4_through_an_ipv6_socket() -> None:
    """IPv4 proxies are trusted in the form that an IPv6 socket reports."""
    trusted = trusted_proxies("127.0.0.1, 10.0.0.0/8,::1,*").split(",")

    assert trusted[:4] == ["127.0.0.1", "10.0.0.0/8", "::1", "*"]
    networks = [ip_network(each) for each in trusted[4:]]
    for peer in ("::ffff:127.0.0.1", "::ffff:10.1.2.3"):
        assert any(ip_address(peer) in network for network in networks), peer
    assert not any(ip_address("::ffff:127.0.0.2") in network for network in networks)


def test_quota_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One and a half CPUs are two workers."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    (tmp_path / "cpu.max").write_text("150000 100000\n", encoding="ascii")

    assert usable_cpus(tmp_path) == 2


@pytest.mark.parametrize(
    ("environ", "json_lines"),
    [
        ({}, False),
        ({"ENVIRONMENT": "local"}, False),
        ({"ENVIRONMENT": "production"}, True),
        ({"ENVIRONMENT": "production", "LOG_FORMAT": "console"}, False),
        ({"LOG_FORMAT": "json"}, True),
    ],
)
def test_log_format_follows_the_application(environ: dict[str, str], *, json_lines: bool) -> None:
    """JSON in deployments, unless `LOG_FORMAT` says otherwise."""
    assert bool(log_config(environ)) == json_lines


def test_log_lines_are_json() -> None:
    """A line has the keys of the application's lines, and a separate key for tracebacks."""
    chosen = log_config({"LOG_FORMAT": "json"})["formatters"]["json"]
    # As `logging.config` makes it.
    formatter: logging.Formatter = logging.config.DictConfigurator({}).configure_formatter(dict(chosen))
    try:
        raise LookupError("gone")
    except LookupError:
        record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, "Worker %s", ("failed",), sys.exc_info())
    line: dict[str, Any] = json.loads(formatter.format(record))

    assert {key: line[key] for key in ("event", "logger", "level")} == {
        "event": "Worker failed",
        "logger": "gunicorn.error",
        "level": "error",
    }
    assert line["timestamp"].endswith("Z")
    assert "LookupError: gone" in line["exception"]


@pytest.mark.parametrize(("workers", "recycled"), [("1", False), ("2", True)])
def test_single_worker_is_not_recycled(monkeypatch: pytest.MonkeyPatch, workers: str, *, recycled: bool) -> None:
    """No other worker could serve during its restart."""
    monkeypatch.setenv("WEB_CONCURRENCY", workers)
    chosen = runpy.run_path(str(ROOT / "deploy/gunicorn.conf.py"))

    assert (chosen["workers"], chosen["max_requests"] > 0) == (int(workers), recycled)


def test_master_imports_no_application() -> None:
    """A reload starts workers with new code, so the master must not have imported the old code."""
    program = (
        "import runpy, sys; runpy.run_path('deploy/gunicorn.conf.py');"
        "print(*[name for name in sys.modules if name.partition('.')[0] in ('app', 'keel')])"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours

    modules = {"keel", "keel.ops", "keel.ops.gunicorn"}
    assert set(printed.split()) == modules | {
        f"keel.ops.gunicorn.{name}" for name in ("defaults", "protocol", "worker")
    }

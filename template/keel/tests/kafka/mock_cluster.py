"""librdkafka's mock cluster, with leaders, brokers and responses under a test's control.

The wheel `confluent-kafka` contains librdkafka, but its Python API can only start a mock. The rest are C functions of
`rdkafka_mock.h`, which are public and documented, but may change with any release: all uses of them are in this module.
"""

import ctypes
import enum
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

_PRODUCER = 0
_FUNCTIONS = {
    "rd_kafka_conf_new": (ctypes.c_void_p, ()),
    "rd_kafka_conf_set": (ctypes.c_int, (ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t)),
    "rd_kafka_new": (ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)),
    "rd_kafka_destroy": (None, (ctypes.c_void_p,)),
    "rd_kafka_err2name": (ctypes.c_char_p, (ctypes.c_int,)),
    "rd_kafka_mock_cluster_new": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)),
    "rd_kafka_mock_cluster_destroy": (None, (ctypes.c_void_p,)),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "rd_kafka_mock_topic_create": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)),
    "rd_kafka_mock_topic_set_error": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)),
    "rd_kafka_mock_partition_set_leader": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32),
    ),
    # Followed by the given number of errors.
    "rd_kafka_mock_partition_push_request_errors": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int16, ctypes.c_size_t),
    ),
    "rd_kafka_mock_push_request_errors_array": (
        None,
        (ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)),
    ),
    "rd_kafka_mock_clear_request_errors": (None, (ctypes.c_void_p, ctypes.c_int16)),
    "rd_kafka_mock_broker_set_down": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int32)),
    "rd_kafka_mock_broker_set_up": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int32)),
    "rd_kafka_mock_coordinator_set": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int32),
    ),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (ctypes.c_void_p, ctypes.c_int32)),
}


class Request(enum.IntEnum):
    """Kinds of requests, by the protocol's API keys."""

    PRODUCE = 0
    INIT_PRODUCER_ID = 22


class Answer(enum.IntEnum):
    """Error codes of the protocol."""

    NO_ERROR = 0
    UNKNOWN_TOPIC_OR_PARTITION = 3
    REQUEST_TIMED_OUT = 7
    MESSAGE_TOO_LARGE = 10
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_ENOUGH_REPLICAS = 19
    TOPIC_AUTHORIZATION_FAILED = 29
    POLICY_VIOLATION = 44
    KAFKA_STORAGE_ERROR = 56


class MockUnavailable(Exception):
    """The library is missing, or another release of it is installed."""


class MockError(Exception):
    """librdkafka refused a command."""


def library() -> ctypes.CDLL:
    """Load librdkafka from the wheel.

    Raises:
        MockUnavailable: the wheel has no loadable library, or one without these functions.
    """
    files = metadata.files("confluent-kafka") or []
    found = [
        Path(str(file.locate())) for file in files if file.name.startswith("librdkafka") and _is_library(file.name)
    ]
    if not found:
        raise MockUnavailable("The wheel `confluent-kafka` for this platform contains no librdkafka library.")
    try:
        loaded = ctypes.CDLL(str(found[0]))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise MockUnavailable(f"{found[0].name}: {error}") from error
    return loaded


def _is_library(name: str) -> bool:
    return name.endswith(".dylib") or ".so" in name


class MockCluster:
    """Brokers on loopback, numbered from 1. Topics created automatically have four partitions."""

    def __init__(self, brokers: int = 3) -> None:
        """Start it.

        Raises:
            MockUnavailable: see `library`.
        """
        self._library = library()
        error = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(configuration, b"log_level", b"0", error, len(error))
        self._client = self._library.rd_kafka_new(_PRODUCER, configuration, error, len(error))
        if not self._client:
            raise MockUnavailable(error.value.decode())
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        self.servers: Sequence[str] = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    def close(self) -> None:
        """Stop the brokers and free their memory."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def create_topic(self, topic: str, partitions: int) -> None:
        """Create a topic; each partition has a leader."""
        self._do("topic_create", topic.encode(), partitions, 3)

    def set_topic_error(self, topic: str, error: Answer) -> None:
        """Have brokers respond with an error for a topic, such as missing or forbidden; NO_ERROR resets it."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), error)

    def set_leader(self, topic: str, partition: int, broker: int | None) -> None:
        """Change a partition's leader; None: no leader."""
        self._do("partition_set_leader", topic.encode(), partition, -1 if broker is None else broker)

    def set_down(self, broker: int) -> None:
        """Close a broker's connections and refuse new ones; it remains the leader of its partitions."""
        self._do("broker_set_down", broker)

    def set_up(self, broker: int) -> None:
        """Have a broker accept connections again."""
        self._do("broker_set_up", broker)

    def set_coordinator(self, group: str, broker: int) -> None:
        """Move a consumer group's coordinator to another broker."""
        self._do("coordinator_set", b"group", group.encode(), broker)

    def answer(self, request: Request, *errors: Answer) -> None:
        """Have brokers respond to the next requests of a kind with these errors."""
        array = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, request, len(errors), array)

    def answer_as_usual(self, request: Request) -> None:
        """Drop the remaining errors for a kind of request."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, request)

    def answer_for(self, topic: str, partition: int, request: Request, error: Answer) -> None:
        """Have the next request of a kind to a partition fail with an error."""
        self._do("partition_push_request_errors", topic.encode(), partition, request, 1, ctypes.c_int(error))

    def _do(self, command: str, *arguments: object) -> None:
        if code := getattr(self._library, f"rd_kafka_mock_{command}")(self._cluster, *arguments):
            raise MockError(f"{command}: {self._library.rd_kafka_err2name(code).decode()}")

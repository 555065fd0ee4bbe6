"""Creation of missing topics."""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from keel.kafka.client import connection_options
from keel.kafka.settings import KafkaSettings

DAY_MS = 86_400_000


async def create(settings: KafkaSettings, names: Sequence[str]) -> list[str]:
    """Create the topics that do not exist; return their names.

    Raises:
        KafkaError: the brokers do not answer, or refuse.
    """
    admin = AIOKafkaAdminClient(**connection_options(settings))
    try:
        await admin.start()
        missing = sorted(set(names) - set(await admin.list_topics()))
        if not missing:
            return []
        # With three replicas, two must be in sync: losing one broker loses no acknowledged event.
        replicas = max(1, settings.replication_factor - 1)
        configuration = {
            "retention.ms": str(round(settings.topic_retention_days * DAY_MS)),
            "min.insync.replicas": str(replicas),
        }
        response = await admin.create_topics(
            [
                NewTopic(name, settings.partitions, settings.replication_factor, topic_configs=configuration)
                for name in missing
            ]
        )
    finally:
        await admin.close()
    for error in response.to_object()["topic_errors"]:
        kind: type[KafkaError] = for_code(error["error_code"])
        # Another process may have created it meanwhile.
        if error["error_code"] and kind is not TopicAlreadyExistsError:
            raise kind(error["topic"])
    return missing

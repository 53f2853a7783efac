"""`python -m tests.chaos.cluster_admin`: make one administrative request in a process of its own.

librdkafka 2.16 can end its process by an assertion (`rd_kafka_enq_once_del_source_return: eonce->refcnt > 0`)
when brokers vanish during an administrative request. The campaign must survive that, so it never makes one
itself. Arguments: bootstrap servers, the name of the request, its operands. Prints the response.
"""

from __future__ import annotations

import json
import subprocess
import sys

from confluent_kafka import ElectionType
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)


class AdminRequestFailed(Exception):
    """The request failed, or its process ended."""


def admin_request(servers: str, *request: str) -> str:
    """Make a request and return what it printed. Try four times, since brokers may be on their way back.

    Raises `AdminRequestFailed`.
    """
    command = [sys.executable, "-m", "tests.chaos.cluster_admin", servers, *request]
    error = ""
    for _ in range(4):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except subprocess.TimeoutExpired:
            error = "no response within 30 s"
            continue
        if done.returncode == 0:
            return done.stdout.strip()
        error = done.stderr.strip()[-500:]
    raise AdminRequestFailed(f"{' '.join(request)}: {error}")


def main(servers: str, request: str, *operands: str) -> None:
    """Make the request and print its response; whatever the client raises ends the process."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    match request, operands:
        case "coordinator", (group,):
            print(admin.describe_consumer_groups([group])[group].result(20).coordinator.id)
        case "leaders", (topic,):
            partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
            print(json.dumps({number: partition.leader for number, partition in partitions.items()}))
        case "elect", ():
            admin.elect_leaders(ElectionType.PREFERRED, None).result(20)
        case "partitions", (topic, count):
            if len(admin.list_topics(topic, timeout=10).topics[topic].partitions) < int(count):
                admin.create_partitions([NewPartitions(topic, int(count))])[topic].result(20)
        case "replicas", (topic, count):
            entry = ConfigEntry("min.insync.replicas", count, incremental_operation=AlterConfigOpType.SET)
            resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
            admin.incremental_alter_configs([resource])[resource].result(20)
        case _:
            raise SystemExit(f"unknown: {request} {operands}")


if __name__ == "__main__":
    main(*sys.argv[1:])

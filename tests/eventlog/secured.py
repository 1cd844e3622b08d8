"""A broker that lets in only whom it knows, and everyone no further than the role in docs/kafka.md."""

from __future__ import annotations

import re
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from kafka import admin as kafka_admin
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from tests.broker import ROOT, Broker

LISTENERS: Final = {"SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL", "TLS": "SSL"}
PASSWORD: Final = "correct horse"  # noqa: S105 - of nobody
KAFKA: Any = kafka_admin  # the checkers' stubs are of another version
SCRAM: Final = {
    "SCRAM-SHA-256": KAFKA.ScramMechanism.SCRAM_SHA_256,
    "SCRAM-SHA-512": KAFKA.ScramMechanism.SCRAM_SHA_512,
}
ROLES: Final = ("shipper", "enforcer", "decider", "operator")
ROW: Final = re.compile(
    r"^\| (\w+) \| (Topic|TransactionalId|Group|Cluster) \| `([^`]+)` \| ([\w, ]+) \|$", re.MULTILINE
)
"""A row of the table of permissions in docs/kafka.md: role, resource, name, operations."""

RESOURCES: Final = {
    "Topic": ResourceType.TOPIC,
    "TransactionalId": ResourceType.TRANSACTIONAL_ID,
    "Group": ResourceType.GROUP,
    "Cluster": ResourceType.CLUSTER,
}


def secured(directory: Path) -> Broker:
    """A broker, not started, with listeners for SASL, SASL over TLS, and TLS with client certificates."""
    certificates(directory)
    tls = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "broker.both.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(directory / "ca.pem"),
    }
    plain = " ".join(f'user_{role}="{PASSWORD}"' for role in ROLES)
    module = "org.apache.kafka.common.security"
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM)),
        "listener.name.tls.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([a-z]+).*$/$1/,DEFAULT",
        **tls,
    }
    for listener in ("sasl", "sasltls"):
        name = f"listener.name.{listener}"
        settings[f"{name}.plain.sasl.jaas.config"] = f"{module}.plain.PlainLoginModule required {plain};"
        for mechanism in SCRAM:
            settings[f"{name}.{mechanism.lower()}.sasl.jaas.config"] = (
                f"{module}.scram.ScramLoginModule required;"
            )
    return Broker(directory, listeners=LISTENERS, settings=settings)


def admit(broker: Broker, prefix: str) -> None:
    """Give every role its password, and on the log under a prefix the permissions of docs/kafka.md."""
    with closing(broker.admin()) as admin:
        for mechanism in SCRAM.values():
            admin.alter_user_scram_credentials(
                [KAFKA.UserScramCredentialUpsertion(role, mechanism, PASSWORD) for role in ROLES]
            )
        table = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
        admin.create_acls([acl for row in ROW.findall(table) for acl in _acls(prefix, *row)])


def certificates(directory: Path) -> None:
    """A certificate authority, and signed by it a broker and each role; one that another authority signed."""
    directory.mkdir(parents=True, exist_ok=True)
    for authority in ("ca", "other-ca"):
        _openssl(directory, f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority}", authority)
    for name in ("broker", *ROLES, "stranger"):
        authority = "other-ca" if name == "stranger" else "ca"
        _openssl(directory, f"req -newkey rsa:2048 -nodes -subj /CN={name}", name, out="csr")
        (directory / "names").write_text("subjectAltName=DNS:localhost\n")
        sign = f"x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2"
        subprocess.run(
            ["openssl", *sign.split(), "-extfile", "names", "-out", f"{name}.pem"],
            cwd=directory,
            check=True,
            capture_output=True,
        )
    both = (directory / "broker.key").read_text() + (directory / "broker.pem").read_text()
    (directory / "broker.both.pem").write_text(both)


def _openssl(directory: Path, command: str, name: str, out: str = "pem") -> None:
    arguments = [*command.split(), "-keyout", f"{name}.key", "-out", f"{name}.{out}"]
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def _acls(prefix: str, role: str, resource: str, name: str, operations: str) -> list[ACL]:
    """The permissions of a row of the table; a name that ends in `*` is a prefix."""
    full = "kafka-cluster" if resource == "Cluster" else prefix + name.removesuffix("*")
    pattern = ACLResourcePatternType.PREFIXED if name.endswith("*") else ACLResourcePatternType.LITERAL
    return [
        ACL(
            principal=f"User:{role}",
            host="*",
            operation=ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(RESOURCES[resource], full, pattern),
        )
        for operation in operations.split(", ")
    ]

"""What Airflow and Bakehouse read of connections, pools and Variables. Pure.

A provider of one's own may have another connection type, and a later one another field: what is
unknown is a mistake only where it is nearly the name of something known, or where Bakehouse itself
uses the connection.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bakehouse.history.trusted_keys import BadSetting, parse_trusted_keys, unsigned_rule
from bakehouse.recipe.mistakes import did_you_mean
from bakehouse.recipe.yaml_values import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_Wrong = tuple[str, str]  # problem and remedy

GOOGLE_TYPE = "google_cloud_platform"
OWN_CONNECTIONS = {"google_cloud_default": GOOGLE_TYPE, "bakehouse_repo": "git"}
"""The connections that Bakehouse uses, and their types."""

# As the providers of Airflow name them in `connection-types`.
_TYPES = frozenset(
    [
        "adls",
        "airbyte",
        "alloydb",
        "anthropic",
        "arangodb",
        "asana",
        "atlassian.jira",
        "aws",
        "azure",
        "azure_ai_search",
        "azure_batch",
        "azure_container_instance",
        "azure_container_registry",
        "azure_container_volume",
        "azure_cosmos",
        "azure_data_explorer",
        "azure_data_factory",
        "azure_data_lake",
        "azure_fileshare",
        "azure_service_bus",
        "azure_synapse",
        "cassandra",
        "celery",
        "chroma",
        "cloudant",
        "cohere",
        "databricks",
        "datadog",
        "dataprep",
        "datafusion",
        "dbt_cloud",
        "dingding",
        "discord",
        "docker",
        "drill",
        "druid",
        "edge",
        "elasticsearch",
        "emr",
        "exasol",
        "facebook_social",
        "file_path",
        "flink",
        "fs",
        "ftp",
        "ftps",
        "gcp_looker",
        "gcpbigquery",
        "gcpbigquery_sql",
        "gcpcloudsql",
        "gcpcloudsqldb",
        "gcpspanner",
        "gcpssh",
        "generic",
        "git",
        "github",
        "google_ads",
        "google_cloud_platform",
        "gremlin",
        "grpc",
        "hashicorp",
        "hdfs",
        "hive_cli",
        "hive_metastore",
        "hiveserver2",
        "http",
        "https",
        "iceberg",
        "imap",
        "impala",
        "influxdb",
        "informatica_edc",
        "iotdb",
        "jdbc",
        "jenkins",
        "jira",
        "kafka",
        "keycloak",
        "kubernetes",
        "kylin",
        "leveldb",
        "livy",
        "mesos",
        "minio",
        "mongo",
        "mssql",
        "mysql",
        "neo4j",
        "odbc",
        "openai",
        "openfaas",
        "openlineage",
        "openmldb",
        "opensearch",
        "opsgenie",
        "oracle",
        "oss",
        "package_index",
        "pagerduty",
        "pagerduty_events",
        "papermill",
        "pgvector",
        "pig_cli",
        "pinecone",
        "pinot",
        "postgres",
        "powerbi",
        "presto",
        "pydantic_ai",
        "qdrant",
        "qubole",
        "redis",
        "redshift",
        "s3",
        "salesforce",
        "samba",
        "segment",
        "sendgrid",
        "sftp",
        "singularity",
        "slack",
        "slackwebhook",
        "smtp",
        "snowflake",
        "snowpark",
        "spark",
        "spark_connect",
        "spark_jdbc",
        "spark_sql",
        "sqlite",
        "sqoop",
        "ssh",
        "tableau",
        "tabular",
        "telegram",
        "teradata",
        "trino",
        "vault",
        "vertica",
        "vespa",
        "vectorwise",
        "wasb",
        "weaviate",
        "webhdfs",
        "winrm",
        "yandexcloud",
        "yeedu",
        "ydb",
        "zendesk",
    ]
)
_ENDPOINTS = ("api_endpoint", "kms_endpoint", "resource_manager_endpoint")
_OWN_EXTRAS = (*_ENDPOINTS, "poll_interval", "reads_per_minute")
_GOOGLE_EXTRAS = (
    *_OWN_EXTRAS,
    "project",
    "key_path",
    "keyfile_dict",
    "credential_config_file",
    "scope",
    "num_retries",
    "key_secret_name",
    "key_secret_project_id",
    "impersonation_chain",
    "idp_issuer_url",
    "client_id",
    "client_secret",
    "idp_extra_parameters",
    "is_anonymous",
    "quota_project_id",
)
_PREFIX = f"extra__{GOOGLE_TYPE}__"  # as Airflow wrote the fields of older versions
_NAME = re.compile(r"[\w#!()\-.:/\\]{1,250}")  # of a connection, as Airflow has it
_KMS_KEY = re.compile(
    r"gcpkms:projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+/cryptoKeyVersions/[0-9]+"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


def wrong_name(name: str) -> _Wrong | None:
    """Tell what Airflow does not accept in the id of a connection."""
    if _NAME.fullmatch(name):
        return None
    remedy = "Write at most 250 letters, digits and #!()-_.:/\\, without spaces"
    return "is no id that Airflow accepts", remedy


def wrong_type(conn_id: str, conn_type: str) -> _Wrong | None:
    """Tell what is wrong with the type of a connection."""
    wanted = OWN_CONNECTIONS.get(conn_id)
    if wanted is not None and conn_type != wanted:
        return "is not the type that Bakehouse needs here", f"Write {wanted}"
    if conn_type in _TYPES:
        return None
    plain = re.sub(r"[\s-]+", "_", conn_type.strip().lower())
    close = [plain] if plain in _TYPES else get_close_matches(plain, sorted(_TYPES), 1, 0.8)
    return ("is not a connection type", f"Did you mean {close[0]}?") if close else None


def wrong_connection(conn_id: str, text: str) -> _Wrong | None:
    """Tell what is wrong with a connection of the environment: a URI, or JSON."""
    if not text.startswith("{"):
        conn_type = type_of(text)
        if conn_type is None:
            return "is neither a URI nor JSON", "write TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA"
        return wrong_type(conn_id, conn_type)
    try:
        form = json.loads(text)
    except json.JSONDecodeError as wrong:
        return f"is not JSON: {wrong.msg} at character {wrong.pos + 1}", "correct it"
    if "conn_type" not in form:
        return "has no conn_type", f"write {OWN_CONNECTIONS.get(conn_id, 'it')}"
    return wrong_type(conn_id, str(form["conn_type"]))


def type_of(uri: str) -> str | None:
    """Return the connection type of a URI, as Airflow reads it; None without one."""
    scheme, colon, _ = uri.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        return None
    found = scheme.lower().replace("-", "_")
    return "postgres" if found == "postgresql" else found


def wrong_extra(conn_type: str, extra: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Find the fields of a connection to Google Cloud that would not do what they say.

    Yields the field's name, value (none of a field that may be a secret), problem and remedy.
    """
    if conn_type != GOOGLE_TYPE:
        return
    for name, value in extra.items():
        own = name.removeprefix(_PREFIX)
        if own not in _GOOGLE_EXTRAS:
            if close := get_close_matches(own, _GOOGLE_EXTRAS, 1, 0.75):
                yield name, "", "is not a field", f"Did you mean {close[0]}?"
        elif wrong := _wrong_google(own, value):
            yield name, shorten(json.dumps(value)), *wrong


def wrong_variable(name: str, value: str) -> _Wrong | None:
    """Tell what is wrong with the value of a Variable that Bakehouse reads."""
    return _VARIABLES[name](value) if name in _VARIABLES else None


def unknown_variable(name: str) -> _Wrong | None:
    """Tell that nobody reads a Variable whose name begins as those of Bakehouse."""
    if name in _VARIABLES or not re.match(r"bake_?house_", name, re.IGNORECASE):
        return None
    remedy = did_you_mean(name.lower(), list(_VARIABLES))
    return "is not a Variable that Bakehouse reads", remedy


def _wrong_google(name: str, value: object) -> _Wrong | None:
    if name == "is_anonymous" and not isinstance(value, bool):
        return "is neither true nor false", "Write true or false without quotes"
    if name in {"poll_interval", "reads_per_minute"} and not _is_positive(value):
        unit = "seconds" if name == "poll_interval" else "reads"
        return "is not a number above 0", f"Write a number of {unit} without quotes"
    if name in _ENDPOINTS:
        return _url("http", "https")(value)
    if name == "project" and not (isinstance(value, str) and value):
        return "is not the id of a project", 'Write it in quotes: "my-project"'
    return None


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _url(*schemes: str) -> Callable[[object], _Wrong | None]:
    def check(value: object) -> _Wrong | None:
        try:
            parts = urlsplit(value) if isinstance(value, str) else None
            if parts and parts.scheme in schemes and (parts.netloc or parts.path.strip("/")):
                return None
        except ValueError:
            pass
        kinds = " or ".join(f"{one}://" for one in schemes)
        return f"is not a URL of {kinds}", f"Write a URL that begins with {kinds}"

    return check


def _number(value: str) -> _Wrong | None:
    if value.strip().isdigit() and int(value) >= 1:
        return None
    return "is not a whole number of 1 or more", 'Write for example "8"'


def _switch(value: str) -> _Wrong | None:
    if value.strip().lower() in {"on", "true", "1", "yes", "off", "false", "0", "no"}:
        return None
    return "is neither on nor off", 'Write "on" or "off"'


def _prefixes(value: str) -> _Wrong | None:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if isinstance(found, dict) and all(isinstance(to, str) for to in found.values()):
        return None
    example = '\'{"http://deb.debian.org/": "http://mirror.internal/"}\''
    return "is not a JSON object of URL prefixes", f"Write for example {example}"


def _names(value: str) -> _Wrong | None:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return None
    return "is not a JSON object", "Remove it: Bakehouse writes it itself"


def _signing_key(value: str) -> _Wrong | None:
    if value.startswith("file://"):
        return _url("file")(value)
    if _KMS_KEY.fullmatch(value):
        return None
    key = "gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1"
    return "is neither a file nor a key of Cloud KMS", f"Write file:///PATH or {key}"


def _trusted_keys(value: str) -> _Wrong | None:
    try:
        parse_trusted_keys(value)
    except BadSetting as wrong:
        return f"cannot be read: {wrong}", "Write a JSON object: a name -> a public key in PEM"
    return None


def _unsigned_images(value: str) -> _Wrong | None:
    try:
        unsigned_rule(value, ())
    except BadSetting:
        return "is no rule for unsigned images", "Write old, refuse, allow, or a date: 2026-12-01"
    return None


_VARIABLES: dict[str, Callable[[str], _Wrong | None]] = {
    "bakehouse_ledger": _url("file", "gs", "gcs"),
    "bakehouse_builders": _number,
    "bakehouse_snapshot_url": _url("http", "https"),
    "bakehouse_notifications": _switch,
    "bakehouse_apt_mirrors": _prefixes,
    "bakehouse_images": _names,
    "bakehouse_signing_key": _signing_key,
    "bakehouse_trusted_keys": _trusted_keys,
    "bakehouse_unsigned_images": _unsigned_images,
}

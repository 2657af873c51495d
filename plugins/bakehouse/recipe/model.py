"""The model of a recipe file, `include/recipes/<name>.yaml`; the file's stem is the name.

The JSON form (`model_dump(mode="json")`) is the form of the file and validates again.
- The smoke VM needs `recipe.smoke.metadata` as instance attributes (smoke_metadata adds them): a
  template that uses a missing attribute fails.
- `recipe.family`, `recipe.sla_of(task)`, `recipe.retries_of(task)` give the value or its default;
- `recipe.base` is BaseFamily, BaseImage or BaseRecipe; `str(recipe.base)` for people.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    WrapSerializer,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded
from bakehouse.core.task_id import TaskOf
from bakehouse.core.tasks import Flow, task_spec
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.names import NAME
from bakehouse.notify.models import Channel
from bakehouse.recipe.base import RECIPE_NAME, RESOURCE_NAME, Base
from bakehouse.recipe.duration import JITTER, Duration, format_duration
from bakehouse.recipe.on_change import OnChange
from bakehouse.recipe.readiness import Ready, UnitName
from bakehouse.recipe.secret_references import CLOUD_PLATFORM, secret_reference
from bakehouse.schedule import cron
from bakehouse.schedule.cron import BadCron, parse_cron

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue

RESERVED_SCRIPTS = frozenset({"guest"})  # Bakehouse's own folder beside the recipes' scripts

_UNSCRIPTABLE = re.compile(
    r"[\x00\ud800-\udfff]"
)  # NUL ends a string in bash, UTF-8 has no surrogates

_ANY = re.compile(r"[*?]+")
_OF_THE_SYSTEM = re.compile(
    r"(?:bin|boot|dev|home|lib|lib64|opt|proc|root|run|sbin|srv|sys)?"
    r"|etc(?:/(?:apt|default|ssh|ssl|systemd(?:/system)?))?"
    r"|usr(?:/(?:bin|lib|local|sbin|share))?|var(?:/(?:cache|lib(?:/(?:dpkg|systemd))?|log))?"
)

# Metadata keys that Bakehouse sets; a recipe cannot set them.
OWN_METADATA = frozenset(
    {
        "startup-script",
        "startup-script-url",
        "enable-guest-attributes",
        "block-project-ssh-keys",
    }
)

METADATA_VALUE_BYTES = 262_144  # of Compute Engine

_REGION = "[a-z]+-[a-z]+[0-9]+"
_PROJECT_PATH = r"(?:https://(?:www|compute)\.googleapis\.com/compute/v1/)?projects/[a-z][-a-z0-9.:]{0,61}[a-z0-9]/"


def _scalar(value: object) -> object:
    if isinstance(value, str) and _UNSCRIPTABLE.search(value):
        raise PydanticCustomError("scalar", "contains a character that a script cannot contain")
    if isinstance(value, int | float) and not -(2**63) <= value < 2**63:  # infinite, or no number
        raise PydanticCustomError("number", "is a number beyond 64 bits; write it as a text")
    if isinstance(value, str | int | float | bool):
        return value
    raise PydanticCustomError("scalar", "is not a single text, number or true/false")


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as missing:
        raise PydanticCustomError("timezone", "is not a time zone") from missing
    return value


def _cron(value: str) -> str:
    try:
        return parse_cron(value)
    except BadCron as bad:
        # not an f-string: pydantic fills the braces of its template
        raise PydanticCustomError("cron", "{problem}", {"problem": str(bad)}) from None


def _not_reserved(value: str) -> str:
    if value in RESERVED_SCRIPTS:
        raise PydanticCustomError("reserved", "is Bakehouse's own folder; choose another name")
    return value


def _metadata_key(value: str) -> str:
    if value in OWN_METADATA or value.startswith("bakehouse-"):
        raise PydanticCustomError("metadata", "is Bakehouse's own; choose another name")
    return value


def _metadata_value(value: str) -> str:
    if _UNSCRIPTABLE.search(value):
        raise PydanticCustomError("metadata", "contains a character that metadata cannot contain")
    if (size := len(value.encode())) > METADATA_VALUE_BYTES:
        raise PydanticCustomError(
            "metadata",
            "is {size} bytes; a metadata value has at most 262,144",  # ruff: ignore[missing-f-string-syntax]
            {"size": f"{size:,}"},
        )
    return value


def _file_pattern(value: str) -> str:
    if not re.fullmatch(r"/[^\x00-\x1f\x7f]{1,1000}", value) or ".." in value.split("/"):
        raise PydanticCustomError("path", "is not an absolute path or glob, such as /etc/app/id*")
    return value


def _not_a_systems_folder(value: str) -> str:
    """Refuse what would empty a folder of the system, or take Bakehouse's own out of the image."""
    parts = [part for part in value.split("/") if part]
    above = "/".join(parts[:-1] if _ANY.fullmatch(parts[-1]) else parts)
    if any(_ANY.fullmatch(part) for part in parts[:1]) or _OF_THE_SYSTEM.fullmatch(above):
        raise PydanticCustomError("path", "is a folder of the system; name what is in it")
    if "bakehouse" in parts:
        raise PydanticCustomError("path", "is Bakehouse's own; choose another path")
    return value


Scalar = Annotated[
    str | int | float | bool,
    BeforeValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
RecipeName = Annotated[
    str,
    StringConstraints(
        pattern=worded(RECIPE_NAME, "is not a name of a-z, 0-9 and -, beginning with a letter")
    ),
]
ScriptsFolder = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^[A-Za-z0-9][A-Za-z0-9_-]*$", "is not the name of a folder in include/startup_scripts"
        )
    ),
    AfterValidator(_not_reserved),
]
ResourceName = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            RESOURCE_NAME, "is not a name of at most 63 of a-z, 0-9 and -, beginning with a letter"
        )
    ),
]
VarName = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$",
            "is not a name that a template can write: letters, digits and _, no digit first",
        )
    ),
]
MetadataValue = Annotated[str, AfterValidator(_metadata_value)]
NetworkName = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            rf"^(?:(?:{_PROJECT_PATH})?global/networks/)?{NAME}$",
            "is neither the name of a network nor projects/P/global/networks/NAME",
        )
    ),
]
SubnetworkName = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            rf"^(?:(?:{_PROJECT_PATH})?regions/{_REGION}/subnetworks/)?{NAME}$",
            "is neither the name of a subnetwork nor projects/P/regions/R/subnetworks/NAME",
        )
    ),
]
ServiceAccount = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^(?:default|[^@\s/]{1,100}@[a-z0-9.:-]{1,150})$",
            "is neither an e-mail address nor default",
        )
    ),
]
Scope = Annotated[
    str,
    StringConstraints(
        pattern=worded(r"^https://[!-~]{1,200}$", "is not a URL that begins with https://")
    ),
]
KmsKey = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^projects/[a-z0-9:.-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]{1,63}"
            r"/cryptoKeys/[A-Za-z0-9_-]{1,63}(?:/cryptoKeyVersions/[0-9]+)?$",
            "is not the whole path of a key",
        )
    ),
]
StorageLocation = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            rf"^(?:us|eu|asia|{_REGION})$", "is neither us, eu or asia nor a region: us-central1"
        )
    ),
]
ZoneName = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^[a-z]+-[a-z]+[0-9]+-[a-z]$",
            "is not a zone, which is a region and a letter: us-central1-a",
        )
    ),
]
MetadataKey = Annotated[
    str,
    StringConstraints(
        pattern=worded(
            r"^[a-zA-Z0-9_-]{1,128}$", "is not a name of at most 128 letters, digits, - and _"
        )
    ),
    AfterValidator(_metadata_key),
]
FilePattern = Annotated[str, AfterValidator(_file_pattern)]
OwnFiles = Annotated[FilePattern, AfterValidator(_not_a_systems_folder)]
Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
BakeTask = Annotated[str, TaskOf(Flow.BAKE)]


class AptLogin(Frozen):
    """A login at a private package archive, as apt_auth.conf(5) has it."""

    machine: str = Field(
        max_length=512,
        pattern=worded(
            r"^(?:[a-z+]+://)?[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[^\s#?]*)?$",
            "is not a host, such as packages.example.org/debian",
        ),
        description="the archive's host, with a path or not: packages.example.org/debian",
    )
    login: str = Field(
        max_length=256,
        pattern=worded(r"^[^\s]+$", "is not one word"),
        description="the user, such as build",
    )
    password: Annotated[str, AfterValidator(secret_reference)] = Field(
        description="a secret of Secret Manager: secret://apt-password, or secret://apt-password/3"
    )


class Builder(Frozen):
    """The VM that bakes the image; the VM of the smoke test is of the same type."""

    machine_type: str = Field(
        default="e2-small",
        pattern=worded(r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)+$", "is not the name of a machine type"),
        max_length=63,
        description="a machine type, such as e2-small",
    )
    disk_gb: int = Field(
        default=10, ge=10, le=65_536, description="the boot disk's size, from 10 to 65536"
    )
    disk_type: Literal["pd-balanced", "pd-standard", "pd-ssd", "hyperdisk-balanced"] = Field(
        default="pd-balanced", description="pd-balanced, pd-standard, pd-ssd or hyperdisk-balanced"
    )
    zones: tuple[ZoneName, ...] = Field(
        default=("us-central1-a", "us-central1-b", "us-central1-c"),
        min_length=1,
        description="zones in the order they are tried, such as [us-central1-a, us-central1-b]",
    )
    spot: bool = Field(default=False, description="true for a cheaper VM that may be preempted")
    network: NetworkName | None = Field(
        default=None,
        description="a network's name or path; that of the subnetwork, or `default`, by default",
    )
    subnetwork: SubnetworkName | None = Field(
        default=None, description="a subnetwork's name, or its path with the region of the zones"
    )
    external_ip: bool = Field(default=False, description="true if the install needs the internet")
    service_account: ServiceAccount | None = Field(
        default=None, description="an e-mail address; none by default"
    )
    scopes: tuple[Scope, ...] = Field(default=(), description="of the service account, as URLs")
    apt_auth: tuple[AptLogin, ...] = Field(
        default=(),
        max_length=20,
        description="logins at private package archives, such as [{machine: packages.example.org,"
        " login: build, password: secret://apt-password}]; not in the image",
    )
    tags: tuple[ResourceName, ...] = Field(
        default=(), max_length=64, description="network tags, at most 64"
    )
    max_run_minutes: int = Field(
        default=60, ge=5, le=1_440, description="minutes until Compute Engine deletes the VM"
    )
    install_deadline_minutes: int = Field(
        default=45, ge=1, le=1_380, description="minutes that the install may take"
    )
    keep_builder_on_failure: Duration | None = Field(
        default=None, description="how long a failed builder or smoke machine is kept, such as 24h"
    )
    unlisted: bool = Field(
        default=False,
        description="true if a machine type, zone or storage location is newer than the known ones",
    )
    wait_for_slot: Duration = Field(
        default=timedelta(hours=6),
        description="how long to wait for a builder slot of the project, such as 6h",
    )

    @property
    def all_scopes(self) -> tuple[str, ...]:
        """The scopes of the service account; secrets need one."""
        return self.scopes or ((CLOUD_PLATFORM,) if self.apt_auth else ())

    @property
    def apt_auth_lines(self) -> tuple[str, ...]:
        """The logins as the bake script has them, a tab between the fields."""
        return tuple(f"{one.machine}\t{one.login}\t{one.password}" for one in self.apt_auth)


class Keep(Frozen):
    """Retention: the newest `last` images, and all that are younger than `days`, are kept.

    Other images are deprecated, after `grace` obsolete, and after another `grace` deleted.
    """

    last: int = Field(
        default=5, ge=1, le=1_000, description="number of promoted images to keep, such as 5"
    )
    days: int | None = Field(
        default=None, ge=1, le=3_650, description="keep all images younger than this many days, too"
    )
    grace: Duration = Field(
        default=timedelta(days=7),
        description="time from deprecated to obsolete, and from there to deleted, such as 7d",
    )
    failed: Duration = Field(
        default=timedelta(days=14),
        description="how long an image that failed its smoke test is kept, such as 14d",
    )


class Image(Frozen):
    """The image: created from the builder's boot disk, or from the whole VM.

    A machine image has no family, and a fleet cannot be moved onto it.
    """

    kind: Literal["custom_image", "machine_image"] = Field(
        default="custom_image",
        description="custom_image (of the boot disk) or machine_image (of the VM)",
    )
    family: ResourceName | None = Field(default=None, description="a name; the recipe's by default")
    storage_location: StorageLocation | None = Field(
        default=None, description="a region or multi-region, such as us"
    )
    kms_key: KmsKey | None = Field(
        default=None, description="projects/P/locations/L/keyRings/R/cryptoKeys/K"
    )
    shielded: bool = Field(default=False, description="true for UEFI with secure boot")
    remove_files: tuple[OwnFiles, ...] = Field(
        default=(),
        description="paths or globs that are not in the image, such as [/var/lib/app/node-id]",
    )
    shared_files: tuple[FilePattern, ...] = Field(
        default=(),
        description="keys and names that all instances share, such as [/etc/app/cluster.key]",
    )
    keep_package_lists: bool = Field(
        default=False,
        description="true: apt's lists and cache stay in, for recipes that are based on this one",
    )
    keep: Keep = Field(
        default=Keep(), description="retention, such as {last: 5, days: 30, failed: 14d}"
    )

    @model_validator(mode="after")
    def _machine_images_have_no_family(self) -> Self:
        if self.kind == MACHINE_IMAGE and self.family is not None:
            raise PydanticCustomError("kind", "has a family, which a machine image cannot have")
        return self


class Smoke(Frozen):
    """The smoke test: metadata as an instance would have, and a deadline."""

    metadata: dict[MetadataKey, MetadataValue] = Field(
        default={}, description="instance attributes, such as {greeting: hello}"
    )
    deadline: Duration = Field(
        default=timedelta(minutes=10),
        le=timedelta(days=100),
        description="time for the whole test, such as 10m",
    )
    none: bool = Field(default=False, exclude=True)


NO_SMOKE_TEST = "none"


def _parse_smoke(value: object) -> object:
    if value == NO_SMOKE_TEST:
        return Smoke(none=True)
    if isinstance(value, dict) and "none" in value:
        raise PydanticCustomError("smoke", "has no field none: write `smoke: none`")
    return value


def _smoke_as_written(smoke: Smoke, write: SerializerFunctionWrapHandler) -> object:
    return NO_SMOKE_TEST if smoke.none else write(smoke)


class _OrNone:
    """In the JSON schema: the word, or an object."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        form = handler(schema)
        handler.resolve_ref_schema(form)["properties"].pop("none", None)
        return {"anyOf": [{"const": NO_SMOKE_TEST}, form]}


class Recipe(Frozen):
    """One image."""

    name: RecipeName = Field(description="the file's stem: at most 35 of a-z, 0-9, -")
    description: str = Field(default="", description="one line for people")
    base: Base = Field(
        description="debian-cloud/debian-12 (a family), project/images/NAME or {recipe: NAME}"
    )
    scripts: ScriptsFolder = Field(
        default_factory=lambda data: data.get("name", ""),
        validate_default=True,
        description="a folder below include/startup_scripts; the recipe's name by default",
    )
    vars: dict[VarName, Scalar] = Field(default={}, description="names and values for the scripts")
    not_secret: tuple[VarName, ...] = Field(
        default=(),
        max_length=100,
        description="vars that are named as secrets are and are none, such as [reset_token]",
    )
    services: tuple[UnitName, ...] = Field(
        default=(),
        description="systemd units that start once the config is rendered, such as [nginx]",
    )
    builder: Builder = Field(default=Builder(), description="the machine to bake on")
    image: Image = Field(
        default=Image(), description="family, keep, storage_location, kms_key, shielded"
    )
    smoke: Annotated[
        Smoke, BeforeValidator(_parse_smoke), WrapSerializer(_smoke_as_written), _OrNone()
    ] = Field(
        default=Smoke(),
        description="metadata for the smoke VM, deadline; none: the boot is the only check",
    )
    boot_time_limit: Duration = Field(
        default=timedelta(minutes=5), description="time from power-on to healthy, such as 90s"
    )
    ready: Ready = Field(
        default=Ready(), description="tcp, http, unit or script: when an instance is ready"
    )
    on_change: tuple[OnChange, ...] = Field(
        default=(),
        max_length=100,
        description="what a change of metadata restarts, such as [{restart: [app]}]",
    )
    schedule: Cron | None = Field(default=None, description=cron.EXPECTED)
    timezone: TimeZone = Field(default="UTC", description="such as Europe/Berlin")
    jitter: Duration | None = Field(
        default=JITTER, description="runs start up to this much later, such as 15m"
    )
    snapshot: Literal["debian"] | None = Field(
        default=None, description="debian: a backfill installs the packages of its date"
    )
    owner: str = Field(
        default="bakehouse", min_length=1, description="the owner of the DAG and its tasks"
    )
    sla: dict[BakeTask, Duration] = Field(
        default={}, description="for a task, such as {smoke_test: 40m}"
    )
    retries: dict[BakeTask, Annotated[int, Field(ge=1, le=20)]] = Field(
        default={}, description="for a task, such as {create_builder: 5}"
    )
    notify: tuple[Channel, ...] = Field(
        default=(), description="notifiers, such as [{notifier: smtp, arguments: {to: x@y.z}}]"
    )
    rebake: Literal["on_updates", "always", "never"] = Field(
        default="on_updates", description="on_updates, always or never"
    )
    max_age: Duration = Field(
        default=timedelta(days=7),
        description="age at which an image is baked again in any case, such as 7d",
    )

    @model_validator(mode="after")
    def _no_spot_machine_images(self) -> Self:
        if self.image.kind == MACHINE_IMAGE and self.builder.spot:
            raise PydanticCustomError(
                "kind",
                "bakes a machine image on a spot VM: its instances would be spot VMs too",
            )
        return self

    @field_validator("ready")
    @classmethod
    def _ready_within_the_limit(cls, ready: Ready, info: ValidationInfo) -> Ready:
        limit = info.data.get("boot_time_limit")
        if limit is not None and ready.deadline is not None and ready.deadline > limit:
            raise PydanticCustomError(
                "deadline",
                f"has a deadline of {format_duration(ready.deadline)}, which is beyond the"
                f" boot_time_limit of {format_duration(limit)}",
            )
        return ready

    @property
    def on_change_lines(self) -> tuple[str, ...]:
        """What is restarted for which file, as the guest reads it."""
        return tuple(dict.fromkeys(line for rule in self.on_change for line in rule.lines()))

    @property
    def family(self) -> str:
        """The family of its promoted images."""
        return self.image.family or self.name

    def sla_of(self, task_id: str) -> timedelta:
        """Time from the run's start within which a task of the bake should have succeeded."""
        return self.sla.get(task_id, task_spec(Flow.BAKE, task_id).sla)

    def retries_of(self, task_id: str) -> int:
        """How often Airflow retries a task of the bake."""
        return self.retries.get(task_id, task_spec(Flow.BAKE, task_id).retries)

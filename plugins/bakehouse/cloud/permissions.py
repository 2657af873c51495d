"""The permissions that each of Bakehouse's service accounts needs, from permissions.yaml. Pure."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field, TypeAdapter

from bakehouse.core.models import Frozen

FILE = "permissions.yaml"


class Resource(StrEnum):
    """What a role is bound on."""

    PROJECT = "project"
    LEDGER = "ledger"  # the bucket
    SERVICE_ACCOUNTS = "service_accounts"  # those of builders and members
    SIGNING_KEY = "signing_key"  # the key of Cloud KMS
    SECRETS = "secrets"  # each secret that a recipe or a fleet names


class Use(Frozen):
    """Permissions that are needed for one thing."""

    purpose: str = Field(alias="for")
    names: tuple[str, ...]
    optional: str = Field(
        default="", description="what has to be used before they are needed; empty: always needed"
    )


class Grant(Frozen):
    """A custom role, and the kind of resource on which it is bound."""

    resource: Resource
    role: str = Field(pattern=r"^[A-Za-z0-9_.]{3,64}$", description="the id of the role")
    permissions: tuple[Use, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All permissions of the role, sorted."""
        return tuple(sorted(name for use in self.permissions for name in use.names))


class ServiceAccount(Frozen):
    """A service account and its grants."""

    account: str = Field(description="the id, which is the local part of its address")
    title: str
    description: str
    grants: tuple[Grant, ...]

    def on(self, resource: Resource) -> tuple[Use, ...]:
        """The permissions that it needs on a resource; none for most pairs."""
        return tuple(
            use for grant in self.grants if grant.resource == resource for use in grant.permissions
        )


class ServiceAccounts(Frozen):
    """The three service accounts."""

    orchestrator: ServiceAccount
    builder: ServiceAccount
    member: ServiceAccount

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """The custom roles to create: the id of each with its permissions."""
        accounts = (self.orchestrator, self.builder, self.member)
        return {grant.role: grant.names for account in accounts for grant in account.grants}


@cache
def service_accounts() -> ServiceAccounts:
    """Return what permissions.yaml says, which is part of the package."""
    text = (files(__package__) / FILE).read_text(encoding="utf-8")
    return TypeAdapter(ServiceAccounts).validate_python(yaml.safe_load(text))


def role_definition(role: str) -> dict[str, Any]:
    """Return a custom role in the form that `gcloud iam roles create --file` takes.

    Raises:
        KeyError: There is no role of this id.
    """
    return {
        "title": _title(role),
        "description": "Read from the permissions.yaml of Bakehouse",
        "stage": "GA",
        "includedPermissions": list(service_accounts().roles[role]),
    }


def _title(role: str) -> str:
    """`Bakehouse account user` of `bakehouseAccountUser`."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in role)
    return spaced.capitalize()

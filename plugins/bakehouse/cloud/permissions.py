"""The permissions that each of Bakehouse's service accounts needs, from permissions.yaml. Pure."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field, TypeAdapter

from bakehouse.core.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Collection

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

    def names(self, without: Collection[str] = ()) -> tuple[str, ...]:
        """All permissions of the role, sorted, but for those of the purposes that are left out."""
        uses = (use for use in self.permissions if use.purpose not in without)
        return tuple(sorted(name for use in uses for name in use.names))


class ServiceAccount(Frozen):
    """A service account and its grants."""

    account: str = Field(description="the id, which is the local part of its address")
    title: str
    description: str
    grants: tuple[Grant, ...]

    def role_on(self, resource: Resource) -> str:
        """The id of its role on a resource. Raises StopIteration if it has none."""
        return next(grant.role for grant in self.grants if grant.resource is resource)

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
    def all(self) -> tuple[ServiceAccount, ...]:
        """The three, in the order of the file."""
        return (self.orchestrator, self.builder, self.member)

    def roles(self, without: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
        """The custom roles to create: the id of each with its permissions."""
        grants = (grant for account in self.all for grant in account.grants)
        return {grant.role: grant.names(without) for grant in grants}


@cache
def service_accounts() -> ServiceAccounts:
    """Return what permissions.yaml says, which is part of the package."""
    text = (files(__package__) / FILE).read_text(encoding="utf-8")
    return TypeAdapter(ServiceAccounts).validate_python(yaml.safe_load(text))


class UnknownUse(ValueError):
    """No permission is needed for a thing of this name, or it cannot be left out."""


def role_definitions(without: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Return each custom role in the form that `gcloud iam roles create --file` takes.

    Args:
        without: The purposes whose permissions are left out, such as `machine images`. A role
            without any permission is left out, too.

    Raises:
        UnknownUse: The file has no optional permissions for one of these purposes.
    """
    _check(without)
    names = service_accounts().roles(without)
    return {
        role: {
            "title": _title(role),
            "description": "From the permissions.yaml of Bakehouse",
            "stage": "GA",
            "includedPermissions": list(permissions),
        }
        for role, permissions in names.items()
        if permissions
    }


def _check(without: Collection[str]) -> None:
    optional = {
        use.purpose: None
        for account in service_accounts().all
        for grant in account.grants
        for use in grant.permissions
        if use.optional
    }
    if unknown := sorted(set(without) - set(optional)):
        listed = ", ".join(map(repr, optional))
        raise UnknownUse(f"{unknown[0]!r} cannot be left out; what can be: {listed}")


def _title(role: str) -> str:
    """`Bakehouse account user` of `bakehouseAccountUser`."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in role)
    return spaced.capitalize()

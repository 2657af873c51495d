"""The list prices of a project, `include/prices.yaml`, and what something costs by them. Pure.

No price is built in: they differ by region, contract and day. Amounts are decimal, in the file's
currency.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from bakehouse.core.models import Frozen
from bakehouse.core.problems import worded
from bakehouse.recipe.load import Kind, load_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRICES = "prices.yaml"
HOURS_A_MONTH = 730  # as Google's own price lists have it
GB = 2**30  # bytes; sizes of disks and images are binary
_HOUR = 3600  # seconds

Price = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class MachinePrice(Frozen):
    """What a machine type costs."""

    hour: Price = Field(description="a price for one hour, such as 0.0184")
    spot_hour: Price | None = Field(
        default=None, description="the price of a spot VM for one hour, such as 0.0055"
    )


class Prices(Frozen):
    """List prices."""

    name: str = Field(default="prices", description="the file's stem")
    currency: Annotated[
        str, StringConstraints(pattern=worded(r"^[A-Z]{3}$", "is not a currency, such as EUR"))
    ] = Field(description="three letters, such as EUR")
    machine_types: dict[str, MachinePrice] = Field(
        default={}, description="by machine type, such as {e2-small: {hour: 0.0184}}"
    )
    disk_types: dict[str, Price] = Field(
        default={}, description="by disk type, for a GB and a month, such as {pd-balanced: 0.11}"
    )
    images: Price | None = Field(
        default=None, description="the storage of images, for a GB and a month, such as 0.05"
    )

    def machine(self, machine_type: str, *, spot: bool = False) -> Decimal:
        """Return the price of a machine for an hour. Raises Unpriced."""
        price = self.machine_types.get(machine_type)
        if price is None:
            raise Unpriced(f"machine_types.{machine_type}")
        if spot and price.spot_hour is None:
            raise Unpriced(f"machine_types.{machine_type}.spot_hour")
        return price.spot_hour if spot and price.spot_hour is not None else price.hour

    def machine_for(self, machine_type: str, seconds: float, *, spot: bool = False) -> Decimal:
        """Return what a machine costs for so long. Raises Unpriced."""
        return self.machine(machine_type, spot=spot) * Decimal(str(seconds)) / _HOUR

    def disk(self, disk_type: str, gigabytes: int) -> Decimal:
        """Return what a disk costs for a month. Raises Unpriced."""
        if disk_type not in self.disk_types:
            raise Unpriced(f"disk_types.{disk_type}")
        return self.disk_types[disk_type] * gigabytes

    def disk_for(self, disk_type: str, gigabytes: int, seconds: float) -> Decimal:
        """Return what a disk costs for so long. Raises Unpriced."""
        return self.disk(disk_type, gigabytes) * months(seconds)

    def image(self, size: int) -> Decimal:
        """Return what the storage of so many bytes costs for a month. Raises Unpriced."""
        if self.images is None:
            raise Unpriced("images")
        return self.images * Decimal(size) / GB

    def money(self, amount: Decimal) -> str:
        """Return an amount for people: `1.25 EUR`, and small ones to a hundredth of a cent."""
        unit = Decimal("0.01") if amount >= 1 or not amount else Decimal("0.0001")
        return f"{amount.quantize(unit, ROUND_HALF_UP)} {self.currency}"


class Unpriced(LookupError):
    """The settings file has no such price; the message is the field that would have it."""

    def __init__(self, field: str) -> None:
        """Take the field of the file."""
        self.field = field
        super().__init__(f"include/{PRICES} has no {field}")


class Priced:
    """Asks for prices, counts nothing for one that the file lacks, and knows which it lacks."""

    def __init__(self) -> None:
        self._lacking: set[str] = set()

    def __call__(self, price: Callable[..., Decimal], *of: Any, **how: Any) -> Decimal:
        """Return what a method of Prices says of these arguments; zero if it is not known."""
        try:
            return price(*of, **how)
        except Unpriced as lacking:
            self._lacking.add(lacking.field)
            return Decimal(0)

    @property
    def lacking(self) -> tuple[str, ...]:
        """The fields that the file would have to have, sorted."""
        return tuple(sorted(self._lacking))

    @property
    def remedy(self) -> str:
        """What the file lacks, for people; empty if it lacks nothing."""
        return missing(self.lacking)


_KIND = Kind(Prices, (), begin="currency: EUR")


def load_prices(include: Path) -> Prices | None:
    """Load the prices of a project; None if it has none. Raises Mistakes."""
    file = include / PRICES
    if not file.is_file():
        return None
    return load_bytes(_KIND, file.read_bytes(), f"include/{PRICES}")


def months(seconds: float) -> Decimal:
    """Return a time in months of HOURS_A_MONTH."""
    return Decimal(str(seconds)) / (_HOUR * HOURS_A_MONTH)


def missing(fields: tuple[str, ...]) -> str:
    """Return the remedy for prices that the file lacks; empty if it lacks none."""
    return f"without a price in include/{PRICES}: {', '.join(fields)}" if fields else ""

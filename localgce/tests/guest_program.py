"""The guest program of the tests: runs the commands of the attribute `instant-script`.

One command per line: `serial TEXT`, `attribute NS/KEY VALUE`, `write DEVICE PATH TEXT`,
`show DEVICE PATH` (to the serial port), `sleep SECONDS`, `watch` (says each change of metadata),
`fail`, `poweroff`.
"""

from collections.abc import MutableMapping
from typing import Any


async def boot(vm: Any) -> None:
    vm.serial(f"boot {vm.boot_id}\n{vm.name} login: \n")
    for line in vm.metadata()["attributes"].get("instant-script", "").splitlines():
        order, _, rest = line.partition(" ")
        if order == "serial":
            vm.serial(f"{rest}\n")
        elif order == "attribute":
            path, _, value = rest.partition(" ")
            await vm.guest_attribute(*path.split("/"), value)
        elif order == "write":
            device, path, text = rest.split(" ", 2)
            disk(vm, device)[path] = text
        elif order == "show":
            device, path = rest.split(" ")
            vm.serial(f"{path}: {disk(vm, device).get(path, 'absent')}\n")
        elif order == "sleep":
            await vm.sleep(float(rest))
        elif order == "watch":
            await watch(vm)
        elif order == "poweroff":
            await vm.power_off()
        elif order == "fail":
            raise RuntimeError("the guest program fails")


def disk(vm: Any, device: str) -> MutableMapping[str, str]:
    found: MutableMapping[str, str] = vm.boot_disk if device == "boot" else vm.disk(device)
    return found


async def watch(vm: Any) -> None:
    while True:
        await vm.metadata_changed()
        vm.serial(f"changed {vm.metadata()['attributes'].get('colour', '')}\n")

"""Run inside a host: what is there of servers, as JSON {kind: [server ids]}. No dependencies."""

import json
import re
import subprocess
import sys
from pathlib import Path


def output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout


def hexadecimal(pattern: str, text: str) -> list[int]:
    return sorted({int(number, 16) for number in re.findall(pattern, text)})


def decimal(pattern: str, text: str) -> list[int]:
    return sorted({int(number) for number in re.findall(pattern, text)})


state = Path(sys.argv[1])
rules = output("nft", "list", "ruleset")
domains = output("virsh", "-q", "-c", "qemu:///system", "list", "--all", "--name")
directories = "\n".join(path.name for path in (state / "servers").glob("*"))
dhcp = "".join(path.read_text() for path in (state / "dhcp" / "hosts").glob("*"))
print(
    json.dumps(
        {
            "domains": hexadecimal(r"i-([0-9a-f]{8})", domains),
            "taps": hexadecimal(r"tap-([0-9a-f]+)", output("ip", "-o", "link")),
            "limits": hexadecimal(r"ifb[rt]x-([0-9a-f]+)", output("ip", "-o", "link")),
            "rules": hexadecimal(r"tap-([0-9a-f]+)", rules),
            "chains": hexadecimal(r"chain server_([0-9a-f]+)", rules),
            "directories": decimal(r"(?m)^(\d+)$", directories),
            "snapshots": sorted(map(str, (state / "servers").glob("*/snapshot-*"))),
            "dhcp": sorted(set(re.findall(r"10\.0\.\d+\.\d+", dhcp))),
            "proxies": output("ip", "neigh", "show", "proxy").split("\n")[:-1],
        }
    )
)

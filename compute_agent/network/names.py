"""Names and numbers that the network of a host is built from, each in one place."""

TABLE = "undercast"  # our nftables table, in the families bridge and ip
GROUPS_TABLE = "undercast_groups"  # that of the security groups, in the family ip
FLAT_MARK = 0xFFFFFFFE  # of a packet that goes on to another host's guest
JUDGED_MARK = 0xFFFFFFFD  # of a packet to a guest here that the security groups have judged
SEEN_MARK = 0xFFFFFFFF  # of a bridged packet that the family ip has seen
METADATA = "169.254.169.254"  # where guests ask for metadata (R196)
METADATA_PORTS = range(20000, 28000)  # one per server, below the host's own ephemeral ports
ROUTE_PROTOCOL = 85  # "proto" of our routes, so that nobody else's are touched
TAP_PREFIX = "tap-"
IFB_PREFIXES = ("ifbrx-", "ifbtx-")  # what a guest receives, and what it sends


def tap_of(server_id: int) -> str:
    """Tap of a server, the same as ``WantedServer.tap``."""
    return f"{TAP_PREFIX}{server_id:x}"


def ifbs_of(server_id: int) -> tuple[str, str]:
    """Devices that hold back what is sent to a server's guest, and from it."""
    received, sent = (f"{prefix}{server_id:x}" for prefix in IFB_PREFIXES)
    return received, sent


def server_of(tap: str) -> int | None:
    """Inverse of :func:`tap_of`; None for the name of another interface."""
    return owner_of(tap) if tap.startswith(TAP_PREFIX) else None


def owner_of(interface: str) -> int | None:
    """Server that an interface was made for; None for the name of any other."""
    number = interface.partition("-")[2]
    try:
        server_id = int(number, 16)
    except ValueError:
        return None
    return server_id if interface in (tap_of(server_id), *ifbs_of(server_id)) else None

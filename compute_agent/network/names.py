"""Names and numbers that the network of a host is built from, each in one place."""

TABLE = "undercast"  # our nftables table, in the families bridge and ip
GROUPS_TABLE = "undercast_groups"  # that of the security groups, in the family ip
FLAT_MARK = 0xFFFFFFFE  # of a packet that goes on to another host's guest
SEEN_MARK = 0xFFFFFFFF  # of a bridged packet that the family ip has seen
METADATA = "169.254.169.254"  # where guests ask for metadata (R196)
METADATA_PORTS = range(20000, 28000)  # one per server, below the host's own ephemeral ports
ROUTE_PROTOCOL = 85  # "proto" of our routes, so that nobody else's are touched
TAP_PREFIX = "tap-"


def tap_of(server_id: int) -> str:
    """Tap of a server, the same as ``WantedServer.tap``."""
    return f"{TAP_PREFIX}{server_id:x}"


def server_of(tap: str) -> int | None:
    """Inverse of :func:`tap_of`; None for the name of another interface."""
    prefix, _, number = tap.partition("-")
    if f"{prefix}-" != TAP_PREFIX:
        return None
    try:
        server_id = int(number, 16)
    except ValueError:
        return None
    return server_id if tap_of(server_id) == tap else None

"""The tables. Importing this package loads them all, as migrations and create_all need."""

from db.models.base import Base
from db.models.catalog import Flavor, Image, ImageMetadata, Keypair
from db.models.hosts import Host, HostHeartbeat
from db.models.identity import (
    AccessKey,
    Quota,
    RateLimit,
    Role,
    Tenant,
    Token,
    TokenScope,
    User,
    UserRole,
    Zone,
)
from db.models.network import (
    FixedAddress,
    HostSecurityGroup,
    Network,
    PublicAddress,
    PublicPool,
    SecurityGroup,
    SecurityGroupRule,
    ServerSecurityGroup,
)
from db.models.operations import Operation, OperationEvent
from db.models.servers import Allocation, Server, ServerFile, ServerMetadata, ServerName

__all__ = [
    "AccessKey",
    "Allocation",
    "Base",
    "FixedAddress",
    "Flavor",
    "Host",
    "HostHeartbeat",
    "HostSecurityGroup",
    "Image",
    "ImageMetadata",
    "Keypair",
    "Network",
    "Operation",
    "OperationEvent",
    "PublicAddress",
    "PublicPool",
    "Quota",
    "RateLimit",
    "Role",
    "SecurityGroup",
    "SecurityGroupRule",
    "Server",
    "ServerFile",
    "ServerMetadata",
    "ServerName",
    "ServerSecurityGroup",
    "Tenant",
    "Token",
    "TokenScope",
    "User",
    "UserRole",
    "Zone",
]

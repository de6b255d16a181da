"""Bodies of server requests (R134-R136, R147-R152, D5, D17, D31, D36-D39, D55, D57)."""

from api.wire.shapes import Body, Items, ListOf, Record, Text
from api.wire.xml import Writer

_NAME = Text(
    "Display name: at least one letter, at most 255 characters, unique among the tenant's live"
    " servers of the zone",
    "server-name-1",
    attribute=True,
)
_IMAGE = Text("Image: id, or a URI that ends in it", "120", ("string", "integer"), attribute=True)
_NUMBER = ("integer", "string")

FILES = ListOf(
    "file",
    Record(
        {
            "path": Text(
                "Absolute path in the guest, at most 255 bytes", "/etc/motd", attribute=True
            ),
            "contents": Text("Base64; white space is ignored", "SGVsbG8K"),
        },
        required=("path", "contents"),
        text="contents",
    ),
    about="Files to put into the guest",
)
GROUPS = ListOf(
    "security_group",
    Record({"name": Text("Name of a group of the tenant", "default", attribute=True)}),
    about="Security groups; the group default without any",
)
SERVER = Body(
    "server",
    Record(
        {
            "name": _NAME,
            "imageRef": _IMAGE,
            "flavorRef": Text(
                "Flavor: id, or a URI that ends in it", "100", ("string", "integer"), attribute=True
            ),
            "key_name": Text("Name of a keypair of the user", "key.pub", attribute=True),
            "min_count": Text("Least number of servers, 1", 1, _NUMBER, attribute=True),
            "max_count": Text("Most servers, min_count", 1, _NUMBER, attribute=True),
            "config_drive": Text(
                "Whether the server gets a configuration drive",
                True,
                ("boolean", "string", "integer"),
                attribute=True,
            ),
            "availability_zone": Text("The zone's own name", "az-1.region-a.geo-1", attribute=True),
            "user_data": Text(
                "Base64, at most 16384 bytes decoded", "IyEvYmluL3NoCg==", attribute=True
            ),
            "security_groups": GROUPS,
            "metadata": Items(),
            "personality": FILES,
        },
        required=("name", "imageRef", "flavorRef"),
    ),
)
SERVER_UPDATE = Body("server", Record({"name": _NAME}, required=("name",)))
REBOOT = Body(
    "reboot",
    Record(
        {"type": Text("SOFT or HARD; it is a hard reboot always", "SOFT", attribute=True)},
        required=("type",),
    ),
)
REBUILD = Body(
    "rebuild",
    Record(
        {"imageRef": _IMAGE, "name": _NAME, "metadata": Items(), "personality": FILES},
        required=("imageRef",),
        about="What is not given stays; metadata and personality replace all of the server's",
    ),
)
CREATE_IMAGE = Body(
    "createImage",
    Record(
        {"name": Text("Name of the image", "image-1", attribute=True), "metadata": Items()},
        required=("name",),
    ),
)
CONSOLE_OUTPUT = Body(
    "os-getConsoleOutput",
    Record(
        {
            "length": Text(
                "Lines from the end; all that is kept without it", 50, _NUMBER, absent=True
            )
        }
    ),
    Writer(None),
)

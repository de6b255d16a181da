"""Bodies of keypair requests."""

from api.wire.shapes import Body, Record, Text

KEYPAIR = Body(
    "keypair",
    Record(
        {
            "name": Text("1 to 255 letters, digits, spaces and . _ - @ (D46)", "keypair-1"),
            "public_key": Text(
                "OpenSSH public key to import; without it a pair is made",
                "ssh-rsa AAAAB3NzaC1yc2E... user@host",
            ),
        },
        required=("name",),
    ),
)

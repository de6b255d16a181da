"""Bodies of identity requests (wire-notes 4.2)."""

from api.wire.faults import identity
from api.wire.shapes import Body, Record, Text

AUTH = Body(
    "auth",
    Record(
        {
            "tenantId": Text("Tenant to scope the token to", "14541255461800", attribute=True),
            "tenantName": Text("The same by name", "HR Tenant Services", attribute=True),
            "passwordCredentials": Record(
                {
                    "username": Text("Name of the user", "arunkant", attribute=True),
                    "password": Text("The password", "changeme", attribute=True, verbatim=True),
                }
            ),
            "apiAccessKeyCredentials": Record(
                {
                    "accessKey": Text(
                        "Id of an access key", "19N488ACAF3859DW9AFS", attribute=True
                    ),
                    "secretKey": Text("Its secret", "...", attribute=True, verbatim=True),
                }
            ),
            "token": Record(
                {"id": Text("A token to give another scope", "HPAuth_...", attribute=True)}
            ),
        }
    ),
    writer=identity,
)

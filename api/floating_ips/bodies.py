"""Bodies of requests about floating addresses (D40, D80)."""

from api.wire.shapes import Body, Record, Text

POOL = Body("pool", Text("Name of a pool; any without it", "public", ("string", "null")))

_ADDRESS = Record({"address": Text("Floating address", "15.185.230.113")}, ("address",))
ADD_FLOATING_IP = Body("addFloatingIp", _ADDRESS)
REMOVE_FLOATING_IP = Body("removeFloatingIp", _ADDRESS)

"""DHCP of a host: static leases for its own guests, served by a dnsmasq that outlives the agent.

    <state_dir>/dhcp/dnsmasq.conf    written by the agent; the unit waits for it
    <state_dir>/dhcp/hosts/<id>      one server's lease
    <state_dir>/dhcp/dnsmasq.pid     where a change is announced to (SIGHUP reads the leases again)

One file per server: a change of one cannot harm another, and removing needs the id only. dnsmasq
keeps no lease file: every lease is static, and one that it forgot in a restart is granted again.
It does no DNS. Nothing of a client's reaches a file before its characters were checked
(OSSA-2021-005: a line feed in a value was a directive).
"""

from compute_agent.dhcp.leases import check, forget, granted, lease_ids, offer, serve

__all__ = ["check", "forget", "granted", "lease_ids", "offer", "serve"]

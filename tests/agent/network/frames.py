"""Ethernet frames made by hand, as a guest that forges them would."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

BROADCAST = "ff:ff:ff:ff:ff:ff"
ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
REQUEST, REPLY = 1, 2
ICMP, UDP = 1, 17


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(target: str, source: str, kind: int, payload: bytes) -> bytes:
    return (
        mac_bytes(target) + mac_bytes(source) + struct.pack("!H", kind) + payload.ljust(46, b"\0")
    )


def arp(
    source: str,
    sender_mac: str,
    sender: str,
    target: str,
    operation: int = REQUEST,
    to: str = BROADCAST,
) -> bytes:
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
    body += mac_bytes(sender_mac) + IPv4Address(sender).packed
    body += bytes(6) + IPv4Address(target).packed
    return ethernet(to, source, ARP, body)


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4_packet(
    sender: str,
    target: str,
    protocol: int,
    payload: bytes,
    *,
    fragment: int = 0,
    identity: int = 1,
) -> bytes:
    """``fragment`` holds the header's flags and the fragment's place."""

    def header(check: int) -> bytes:
        return struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            0,
            20 + len(payload),
            identity,
            fragment,
            64,
            protocol,
            check,
            IPv4Address(sender).packed,
            IPv4Address(target).packed,
        )

    return header(checksum(header(0))) + payload


def udp(source_port: int, target_port: int, data: bytes) -> bytes:
    return struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0) + data


def ip(
    target_mac: str,
    source_mac: str,
    sender: str,
    target: str,
    payload: bytes = udp(4000, 4000, b"undercast"),
    protocol: int = UDP,
) -> bytes:
    return ethernet(target_mac, source_mac, IPV4, ipv4_packet(sender, target, protocol, payload))


# DHCP (RFC 2131)

DISCOVER, OFFER, DHCP_REQUEST, ACK = 1, 2, 3, 5
COOKIE = bytes.fromhex("63825363")


def dhcp_payload(kind: int, client: str, transaction: int, requested: str = "") -> bytes:
    body = struct.pack("!BBBBIHH", 1, 1, 6, 0, transaction, 0, 0x8000) + bytes(16)
    body += mac_bytes(client).ljust(16, b"\0") + bytes(192) + COOKIE
    body += bytes((53, 1, kind))
    if requested:
        body += bytes((50, 4)) + IPv4Address(requested).packed
    return body + bytes((55, 6, 1, 3, 6, 12, 15, 51)) + b"\xff"


def dhcp(
    source: str,
    client: str,
    kind: int = DISCOVER,
    transaction: int = 1,
    requested: str = "",
    sender: str = "0.0.0.0",
) -> bytes:
    payload = udp(68, 67, dhcp_payload(kind, client, transaction, requested))
    return ip(BROADCAST, source, sender, "255.255.255.255", payload)


def dhcp_answer(frame: bytes, transaction: int) -> dict[int | str, bytes] | None:
    """Options of a server's answer in ``frame``, with "address" beside them; None if it is none."""
    if len(frame) < 282 or frame[12:14] != b"\x08\x00" or frame[23] != UDP:
        return None
    message = frame[14 + (frame[14] & 15) * 4 + 8 :]
    if message[:1] != b"\x02" or struct.unpack("!I", message[4:8])[0] != transaction:
        return None
    answer: dict[int | str, bytes] = {"address": message[16:20]}
    options = message[240:]
    while options and options[0] != 255:
        if options[0] == 0:
            options = options[1:]
            continue
        answer[options[0]] = options[2 : 2 + options[1]]
        options = options[2 + options[1] :]
    return answer

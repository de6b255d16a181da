"""Copies of a running guest's disk, made by qemu as libvirt's backup jobs.

The copy is the disk as it was when the job began; qemu saves each block before the guest changes
it. The guest's own files are only read. A job that an agent left behind when it was killed goes on
by itself; it is ended before another one begins.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from compute_agent.driver import Still
from compute_agent.errors import HostFault, Retry

_POLL = 0.2  # seconds between two looks at a job
_END_TIMEOUT = 30.0  # seconds for a job to end when it is told to


def copy_disk(domain: Any, disk: str, target: Path, still: Still) -> None:
    """Copy ``disk`` ("vda") of an active domain into ``target``, a qcow2 of the disk's size.

    Raises Retry when the guest went off meanwhile, HostFault when the copy failed, and what
    ``still`` raises; then the job is ended.
    """
    end_job(domain)
    domain.backupBegin(_xml(disk, target), None, libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL)
    try:
        while job := _job(domain):
            still(_share(job))
            time.sleep(_POLL)
    except BaseException:
        end_job(domain)
        raise
    if not domain.isActive():
        raise Retry(f"the guest {domain.name()} went off while its disk was copied")
    ended = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if ended.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED or not ended.get("success", True):
        reason = ended.get(libvirt.VIR_DOMAIN_JOB_ERRMSG, "no reason given")
        raise HostFault(f"the disk of {domain.name()} was not copied: {reason}")


def end_job(domain: Any) -> None:
    """No backup of the domain is under way."""
    deadline = time.monotonic() + _END_TIMEOUT
    while _job(domain):
        try:
            domain.abortJob()
        except libvirt.libvirtError:  # it ended by itself, or the guest did
            if _job(domain):
                raise
        if time.monotonic() > deadline:
            raise Retry(f"the backup of {domain.name()} does not end")
        time.sleep(_POLL)


def _job(domain: Any) -> dict[str, Any] | None:
    """What libvirt says of the domain's job; None while there is none."""
    if not domain.isActive():
        return None
    try:
        found: dict[str, Any] = domain.jobStats()
    except libvirt.libvirtError:
        if domain.isActive():
            raise
        return None
    return None if found["type"] == libvirt.VIR_DOMAIN_JOB_NONE else found


def _share(job: dict[str, Any]) -> float:
    """How much of the disk is copied, from 0 to 1."""
    total: int = job.get(libvirt.VIR_DOMAIN_JOB_DISK_TOTAL, 0)
    done: int = job.get(libvirt.VIR_DOMAIN_JOB_DISK_PROCESSED, 0)
    return min(done / total, 1.0) if total else 0.0


def _xml(disk: str, target: Path) -> str:
    backup = ET.Element("domainbackup", mode="push")
    entry = ET.SubElement(ET.SubElement(backup, "disks"), "disk", name=disk, backup="yes")
    entry.set("type", "file")
    ET.SubElement(entry, "driver", type="qcow2")
    ET.SubElement(entry, "target", file=str(target))
    return ET.tostring(backup, encoding="unicode")

"""Files put into a guest's root disk before its first boot, without mounting it (wire notes 5.4).

The guest's file system is a stranger's, so no kernel of ours and no process of root ever reads it:
qemu-storage-daemon shows the thin disk as a file (FUSE) in a mount namespace of its own, and
e2fsprogs work on that file, without network, as a user who owns nothing else: not even the disks of
other guests, which are qemu's. The mount is gone with its namespace, however the agent ends.

Rejected: a mount (the host's kernel would parse the guest's file system), libguestfs (ten seconds
a server under emulation), a copy to a raw file and back (seconds a server, and no longer thin).
"""

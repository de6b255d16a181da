"""Makes servers so on one host: libvirt, disks, network and metadata."""

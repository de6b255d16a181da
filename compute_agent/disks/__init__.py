"""Images and disks of a host: what is cached, what servers own, and what is thrown away."""

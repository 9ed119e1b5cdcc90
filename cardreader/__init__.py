"""Cards: readers, APDUs, PBOC applications and their simulators. Knows nothing of televisions or servers."""

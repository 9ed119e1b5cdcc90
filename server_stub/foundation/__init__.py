"""What all roles stand on; knows none of them."""

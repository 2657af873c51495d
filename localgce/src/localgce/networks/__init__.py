"""Networks and their subnetworks."""

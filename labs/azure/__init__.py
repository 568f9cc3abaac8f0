"""Azure: groups, networks, a registry and two clusters, and the way into them."""

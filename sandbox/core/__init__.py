"""What all parts of the sandbox share: values, addresses, the cluster as an interface. It imports no other part."""

"""The network as pods see it: who is where, and what a connection out of a pod meets on its way."""

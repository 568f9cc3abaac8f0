"""Envoy's configuration protocol (xDS), as far as the sandbox speaks it: resources as JSON in, gRPC out.

Configuration by files, which needs no protocol at all, was measured first and does not carry: Envoy 1.40 opens
one inotify instance for every subscription, one per cluster and per route table. Linux allows 128 of them per
user by default, and Envoy aborts when there is none left, at about a hundred clusters; 25 workloads that each
see 15 services have 400 and more. So Envoy subscribes to everything over one stream (incremental ADS), which also
tells when a change is in effect and why a configuration was refused.

The modules, from the wire up: `protobuf` (JSON to Envoy's messages), `grpc_server` (the one method that Envoy
calls), `ads` (what was sent, what is wanted, and in which order the difference goes).
"""

"""The sandbox's stand-in for Jaeger: spans as they come in, the traces that they make up, and who asks for them.

It knows no cluster and opens no port: what serves it is `sandbox/images/jaeger.py`.
"""

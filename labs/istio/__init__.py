"""Istio: installed, let into two namespaces, and put to work on the BookInfo application."""

from labs.istio import bookinfo, canary, cleanup, gateway, inject, install

LABS = (install.LAB, inject.LAB, bookinfo.LAB, gateway.LAB, canary.LAB, cleanup.LAB)

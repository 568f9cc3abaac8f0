"""Istio: installed, let into two namespaces, and put to work on the BookInfo application."""

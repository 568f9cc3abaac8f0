"""The sandbox's stand-in for Prometheus: what it scraped, and a documented subset of PromQL over it.

It knows no cluster, no pod and no network: targets come from a callable, and so does what is read from them
(`scraping`). What it answers is what Prometheus answers, to the last digit that matters; what it does not have
is refused by its name as `bad_data`. `expressions` says what it has.
"""

"""What a bundle is made of: one archive that sets the workshop up where there is no internet.

wheels.py       the packages for machines that need not be this one, fetched by pip
repository.py   the workshop's own files
archive.py      one file of all, the same bytes for the same content
start.sh        what is run on the other machine; README.txt says so there
pip.lock        the pip that start.sh installs with: what Debian's Python has of it is a package of its own
"""

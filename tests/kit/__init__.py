"""What tests of several folders need, one module a subject:

fixtures.py    a sandbox for all tests of a worker, with kubectl; the product on a sandbox of its own
workshop.py    the product: `invoke` as a person types it, what it said, and what its sandbox then has
forked.py      how that needs no start of its own
forked_sandboxes.py  nor does a sandbox
in_process.py  labs run in the test's own process, brought to their end without proofs
engine.py      a world in memory for the engine: objects, steps, timelines, a guard, and a bench to run them
runs.py        a run for one step, and a cluster in memory of which kubectl does what a real one does
heard.py       what a run told
azure.py       the sandbox's Azure in a thread, and runs against it
fronted_api.py    an API server in front of a sandbox's, with users of fewer rights
sandbox.py     kubectl for the tests of the sandbox: what it prints, and what it refuses
prometheus.py    a Prometheus of samples, asked through a real kubectl
saved.py       what of saved states is the same in every sandbox that is loaded with one
screens.py     what a screen shows of a run, and runs to show; a clock
terminal.py    a command at a terminal, and who types there
tools.py       programs that not every machine has
cases.py       cases as data: YAML beside the tests
laws.py        how hypothesis draws
"""

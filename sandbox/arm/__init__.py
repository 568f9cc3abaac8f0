"""Azure's control plane as far as the workshop needs it: an ARM endpoint for the real SDK clients.

Served, on one subscription and in memory only:

    subscription, locations                 read
    resource groups                         create, list (also what is in them), delete with all in it
    resource providers                      read, register (takes time)
    virtual networks with their subnets     create, change, read, delete
    user-assigned identities                create, read, delete
    container registries                    create, change, read, delete; name availability; importImage;
                                            builds (scheduleRun), read, and where their logs are
    managed clusters                        create, change, read, delete; a user's credentials;
                                            Kubernetes versions of a location
    role assignments                        create, read, delete
    permissions                             read on any scope, and enforced
    usages and sizes                        vCPUs, managed clusters and addresses per location, sizes of machines

Everything else is refused in ARM's error format, and so is every property of a body that nothing here acts on.
Long-running operations are real ones: an answer with `Azure-AsyncOperation` or `Location`, states on the way,
409 for whoever comes in between. Who holds the token can also script faults and read the log of requests
(`/sandbox/settings`, `/sandbox/requests`); nothing outside tests does.
"""

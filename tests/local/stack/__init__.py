"""Builds, starts and stops the local stack, with Python's standard library only.

    cli          the commands
    places       where things lie: the repository, .local, the programs
    build        builds parts into .local, only what changed
    parts        what these parts are, and how each is made
    steps        what their recipes are made of
    supervise    child processes that cannot outlive us, and waiting that notices everything
    kubernetes   etcd, kube-apiserver, kube-controller-manager
    aws          the simulated AWS
    directory    a stack's folder
    locks        locks that end with their holder
    run          one stack in the foreground
    background   the one stack that `up` leaves running
"""

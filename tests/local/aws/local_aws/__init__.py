"""A local AWS for tests and demos: moto's state, with AWS's own strictness in front of it.

moto answers happily where AWS refuses, and at once where AWS takes minutes. What an operator gets wrong lives in
exactly those two gaps, so this package closes them for the operations that the operator calls.

    server.py      HTTP on 127.0.0.1, one thread per connection
    dispatch.py    request -> fault? -> handler (or moto) -> journal -> response
    wire.py        which service and operation is this; parameters in; xml.py: results out
    world.py       all state: moto's backends, and what moto does not model
    clock.py       delays: what happens later, looked at before each call
    journal.py, faults.py, admin.py    what tests look at and turn
    ec2/, functions/ (Lambda), roles.py (IAM), logs.py    the strict operations
"""

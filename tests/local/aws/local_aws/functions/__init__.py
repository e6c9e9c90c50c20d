"""Lambda: functions with states, network interfaces and real invocations.

model.py        a function's record, and how the API shows it
checks.py       what CreateFunction and the updates refuse
operations.py   the operations, invoking apart
hyperplane.py   Lambda's network interfaces: shared, lingering
datapath.py     which endpoint names and addresses a function can reach now
invoke.py       Invoke and InvokeWithResponseStream; runtime.py runs the code; eventstream.py frames the stream
models.py       the stand-in model server and its certificate
"""

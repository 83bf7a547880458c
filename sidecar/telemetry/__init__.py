"""What people and machines see of the sidecar; nothing here decides anything about traffic.

- `catalogue`   every metric as data; `exposition` writes them from plain integers
- `access_log`  one line a finished request; `logs` the event log; `sink` carries both past slow readers
- `timeline`    the last events, in memory, of those that are `worth` it; `loop_lag` how late the event loop runs
"""

"""What becomes of calls when an instance misbehaves, with the sidecar and with its peers, in the same run.

`rows` are the situations, `instance` misbehaves, `app` calls, `__main__` plays all of it and writes the page.
"""

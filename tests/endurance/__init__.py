"""What is bounded, tried on a real process: memory and descriptors under floods, with apps and instances that misbehave.

`ground` is the process that is watched, `trials` are the floods, each at the size that it is asked for; `__main__`
plays them in full (`make endurance`) and writes the page, `test_trials` plays a small version of each in every run.
"""

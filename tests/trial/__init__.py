"""The rolling-restart trial, as a program: how many calls does an app lose, beside the peers? `make trial`."""

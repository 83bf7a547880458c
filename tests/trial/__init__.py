"""The rolling-restart trial on a real Nacos server, as a program: `make trial-restart`."""

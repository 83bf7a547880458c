"""`nacos-sidecar iptables`: the rules that bring an app's connections to the transparent listener."""

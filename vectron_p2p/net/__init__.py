"""The network: streams and packets, requests over streams, and one pool of connections per node.

Owns everything between the pure `protocol` and node code. Must not know what messages mean or who the members are. The
real network (`sockets`) and the simulated one (`vectron_p2p.testing.network`) stand behind `interfaces`.
"""

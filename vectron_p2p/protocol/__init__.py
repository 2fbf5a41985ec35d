"""The wire: messages, codec, frames and the connection state machine, sans-IO.

Owns what bytes mean. Must not know sockets, time or nodes. Both ends of every connection (between nodes, and of all
three client shells) run the same `connection.Connection`.
"""

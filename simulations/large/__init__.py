"""The catalog and placement of a large cluster: what states weigh, what entries cost, how even shards lie."""

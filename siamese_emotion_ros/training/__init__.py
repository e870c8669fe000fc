"""The training room: embeddings learned from labelled faces by distance (extra `[train]`; no ROS)."""

"""Facial emotions for robots: a siamese embedding, a gallery of labelled anchors, and a k-NN vote over ROS 2."""

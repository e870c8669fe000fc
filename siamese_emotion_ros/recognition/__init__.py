"""What emotion is this face? The ROS-free recogniser: network, gallery, nearest anchors, vote."""

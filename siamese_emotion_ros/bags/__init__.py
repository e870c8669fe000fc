"""Recordings of ROS 2 (rosbag2: sqlite3 and mcap) without ROS: read them, salvage them, decode them, write them."""

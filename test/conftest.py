"""What every test runs in: a ROS 2 graph of its own, which neither sees nor disturbs other nodes."""
import os

# Domains 1 to 101 have ports outside the range from which Linux gives out ephemeral ones.
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 101))
# Jazzy and newer.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
# Humble.
os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")

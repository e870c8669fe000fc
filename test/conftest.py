"""Each test run has a ROS 2 graph of its own and leaves the machine's other work alone."""
import os

# Threads of OpenMP (torch, scikit-learn) that spin while they wait bring a busy machine to a standstill.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Domains 1 to 101 have ports outside the range from which Linux gives out ephemeral ones.
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 101))
# Jazzy and newer.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
# Humble.
os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")

"""The ROS 2 face of the package: thin lifecycle nodes around `faces`, `recognition` and `drawing`."""
import os

# One frame is too little work to share among the threads of numpy's and OpenMP's pools, which wait by spinning and take
# the cores from the node beside them. It has to be said before numpy is loaded; the environment can say otherwise.
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")

# OpenCV's own warnings about a webcam that is gone are a page long for each try; ours is a line.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
